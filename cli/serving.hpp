// What `serve` and `predict` share: which model is meant, and loading it.
#pragma once

#include "cli/session.hpp"
#include "core/base/fs.hpp"

#include <memory>
#include <string>
#include <vector>

namespace mlp {

namespace config {
struct ServiceEntry;
}
namespace serve {
class Runtime;
}

struct ChosenModel {
  std::string name;                              // as it is served
  std::string version;                           // "3"
  fs::path files;                                // a file or a folder
  std::vector<std::string> classes;              // of a classifier, where they are known
  const config::ServiceEntry* service = nullptr; // of mlp.yaml, if it is one; lives as the session
};

// From the argument MODEL (a service of mlp.yaml, else a reference to a registered model) or the
// option --file (with --name). With neither: the only service, else the only model, at its alias
// "champion" where it has one. Throws Error: usage (both, or no way to tell), not_found.
[[nodiscard]] ChosenModel choose_model(Session& session);

// On the device of --device. Throws Error: not_found, config for a file that no runtime takes,
// usage or unreachable for the device. `threads`: of one inference.
[[nodiscard]] std::shared_ptr<const serve::Runtime>
load_model(Session& session, const ChosenModel& model, int threads);

// The setting train.threads, or the number of CPUs that this process may use.
[[nodiscard]] int serving_threads(Session& session);

// The options --file, --name and --device.
[[nodiscard]] Option model_file_option();
[[nodiscard]] Option model_name_option();
[[nodiscard]] Option device_option();
// Services and models.
std::vector<Candidate> complete_served(Session& session);

} // namespace mlp
