// Models behind the Open Inference Protocol: routes, a bounded queue, workers, metrics. What it
// answers does not depend on sockets.
//
// To add a route: a row in the table of service.cpp and a member function that answers it.
#pragma once

#include "core/serve/http.hpp"
#include "core/serve/metrics.hpp"
#include "core/serve/served_model.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace mlp::serve {

struct ServiceOptions {
  int workers = 1;         // threads that parse, infer and write answers
  std::size_t queue = 256; // requests that may wait for a worker; more are told 503
  std::string server_version = "0";
};

// Thread-safe. Everything but inference is answered at once, on the caller's thread, so that health
// checks and metrics work under any load.
class InferenceService : public HttpHandler {
 public:
  // The first model of a name answers requests that name no version. Throws Error(conflict) if two
  // are the same.
  InferenceService(std::vector<ServedModel> models, ServiceOptions options);
  // Waits for the inferences that run; tells those that wait 503.
  ~InferenceService() override;

  void handle(HttpRequest request, HttpReply reply) override;

  // False: /v2/health/ready and every model's ready answer 503. True from the start.
  void set_ready(bool ready) noexcept;
  // For the server to count in; shown by /metrics.
  [[nodiscard]] ServerCounters& server_counters() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mlp::serve
