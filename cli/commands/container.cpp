// `mlp __container SPEC`: becomes a container. Its exit code is the program's, or as Docker has it:
// 125 if the container failed, 126 if its program cannot be executed, 127 if there is none.
#include "core/image/container.hpp"

#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"
#include "core/job/limits.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <memory>

namespace mlp {

namespace {

constexpr int container_failed = 125;
constexpr double gibibyte = 1024.0 * 1024 * 1024;

// --cpus and --memory, for as long as the container lives. Throws Error where they cannot be
// enforced: who asks for a limit relies on it.
std::unique_ptr<job::ResourceLimits> limits_of(const Arguments& arguments) {
  config::Resources resources;
  if (const auto cpus = arguments.get("--cpus")) {
    double value = 0;
    const char* end = cpus->data() + cpus->size();
    if (std::from_chars(cpus->data(), end, value).ptr != end || !(value > 0 && value < 1e6))
      throw Error(ErrorKind::usage, fmt::format("'{}' is no number of CPUs", printable(*cpus)));
    resources.cpus = config::Amount{value};
  }
  if (const auto memory = arguments.get("--memory")) {
    const auto bytes = config::parse_size(*memory);
    if (!bytes || *bytes == 0)
      throw Error(ErrorKind::usage, fmt::format("'{}' is no size", printable(*memory)))
          .with_hint("such as 512MiB or 4GiB");
    resources.memory = config::Amount{static_cast<double>(*bytes) / gibibyte};
  }
  if (!resources.cpus && !resources.memory) return nullptr;
  auto limits =
      std::make_unique<job::ResourceLimits>(fmt::format("container-{}", ::getpid()), resources, 1);
  if (!limits->unenforced().empty())
    throw Error(ErrorKind::denied,
                fmt::format("no limits here: {}", join(limits->unenforced(), "; ")));
  return limits;
}

void run(Session& session) {
  OutputOptions options;
  options.json = session.arguments().has("--json");
  try {
    const std::string path = *session.arguments().get("SPEC");
    const image::ContainerSpec spec =
        image::container_spec_from_json(parse_json(read_file(path), path), path);
    const auto limits = limits_of(session.arguments());
    if (limits) limits->enter();
    const int code = image::run_container(spec);
    if (limits) limits->leave();
    session.set_exit_code(code);
  } catch (const image::ProgramError& error) {
    print_error(error, options);
    session.set_exit_code(error.exit_code());
  } catch (const Error& error) {
    print_error(error, options);
    session.set_exit_code(container_failed);
  }
}

} // namespace

extern const Command container_command;
const Command container_command = {
    .path = "__container",
    .summary = "run a program in a container; started by mlp itself",
    .category = Category::hidden,
    .arguments = {{.name = "SPEC", .help = "the container's specification, a file of JSON"}},
    .options = {{.name = "--cpus", .value = "N", .help = "use no more than so many"},
                {.name = "--memory", .value = "SIZE", .help = "use no more than that"}},
    .run = run};

} // namespace mlp
