// What a run's program can talk to while it runs, beside the files that it is given: made by
// whoever starts the supervisor, so that the supervisor need not know what it speaks.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace mlp::job {

// One attempt's. All methods are called by the supervisor's thread.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  // Sets, and takes away, what its clients in the program read of their environment. Before the
  // program is started: from here on a client may connect.
  virtual void add_to(std::map<std::string, std::string>& environment) const = 0;
  // The program was started: answers from now on, on a thread of its own.
  virtual void start() = 0;
  // The program has ended: what it asked for is done when this returns. Waits a second at most.
  // Idempotent.
  virtual void stop() noexcept = 0;
  // After stop(): what could not be done, a sentence each, for the run's warnings.
  [[nodiscard]] virtual std::vector<std::string> problems() const = 0;
};

} // namespace mlp::job
