// The programs of a run in the environment that its project's image is: each becomes a program in a
// container that sees the project, the data and the run's folder at their own paths. To its
// supervisor it is a program like any other.
#pragma once

#include "core/base/fs.hpp"
#include "core/image/container.hpp"
#include "core/job/work.hpp"
#include "core/track/run_folder.hpp"
#include "core/track/run_spec.hpp"

#include <map>
#include <string>
#include <vector>

namespace mlp::job {

class RunContainer {
 public:
  // For a run whose specification names an image of the project's local images. Unpacks what of it
  // is not unpacked yet, which blocks. `program` is this executable. Throws Error(not_found) if the
  // image is not there, and what UnpackedLayers::ensure() throws.
  RunContainer(const track::RunFolder& run, const track::RunSpec& spec, const Work& work,
               fs::path program);

  // The arguments in whose place the work's are, for the run's process of that number: the values
  // of `environment`, what the run adds to ours, are to be in the process's environment; beside
  // them a program finds what the image sets. Writes a file to the run's folder that holds no
  // value.
  [[nodiscard]] std::vector<std::string>
  arguments(std::size_t number, const std::map<std::string, std::string>& environment) const;

 private:
  fs::path folder_; // the run's
  fs::path program_;
  image::ContainerSpec spec_;
};

} // namespace mlp::job
