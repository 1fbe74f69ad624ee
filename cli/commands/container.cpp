// `mlp __container SPEC`: becomes a container. Its exit code is the program's, or as Docker has it:
// 125 if the container failed, 126 if its program cannot be executed, 127 if there is none.
#include "core/image/container.hpp"

#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace mlp {

namespace {

constexpr int container_failed = 125;

void run(Session& session) {
  OutputOptions options;
  options.json = session.arguments().has("--json");
  try {
    const std::string path = *session.arguments().get("SPEC");
    const image::ContainerSpec spec =
        image::container_spec_from_json(parse_json(read_file(path), path), path);
    session.set_exit_code(image::run_container(spec));
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
    .run = run};

} // namespace mlp
