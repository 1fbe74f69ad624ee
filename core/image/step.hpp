// One step of a build: a program in a container over the layers so far, whose changes become the
// next layer.
#pragma once

#include "core/base/progress.hpp"
#include "core/image/container.hpp"

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

namespace mlp::image {

// How steps are run. Everything is kept by the caller while steps run.
struct StepRunner {
  fs::path program;   // this executable, which can become a container
  fs::path temporary; // for the step's own files; on the file system of the unpacked layers
  // Each line that the step prints, without its end; may be empty.
  std::function<void(std::string_view line)> line;
  std::stop_token stop;
  Progress* progress = nullptr; // of a step as a whole; nothing is said of how far it is
};

// Runs it to its end. Throws Error(failed) with the last lines of its output if it fails, denied
// where containers cannot be had, interrupted.
void run_step(const StepRunner& runner, const ContainerSpec& spec, std::string_view title);

} // namespace mlp::image
