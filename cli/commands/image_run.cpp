// `mlp image run`: a container of an image. This process becomes the container, so its exit code is
// the program's.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/image/container_request.hpp"
#include "core/image/unpack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace mlp {

namespace {

// A local image, or one that is pulled first.
image::Image find(Session& session, image::Layout& store, const std::string& given) {
  const image::ImageName name = image::parse_image_name(given);
  if (name.transport == image::Transport::name)
    if (const auto found = image::find_image(store, name.name))
      return image::load_image(store, found->manifest);
  const TemporaryDirectory staging("mlp-image-");
  OpenImage open = open_image(session, name, staging.path());
  // What came from a registry is worth keeping under its name.
  const bool keep =
      name.transport == image::Transport::name || name.transport == image::Transport::registry;
  const auto target = image::layout_target(store, keep ? open.name : std::string());
  const image::Transferred moved = image::transfer(*open.source, *target, transfer_options(session),
                                                   session.output().progress());
  return image::load_image(store, moved.manifest);
}

void add_environment(const std::vector<std::string>& words, image::ContainerRequest& request) {
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == 0 || word.empty())
      throw Error(ErrorKind::usage, fmt::format("'{}' is not NAME=VALUE", printable(word)));
    if (equals == std::string::npos)
      request.inherited.push_back(word);
    else
      request.environment[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

image::ContainerRequest read_request(Session& session) {
  const Arguments& arguments = session.arguments();
  image::ContainerRequest request;
  request.command = arguments.all("COMMAND");
  request.entrypoint = arguments.get("--entrypoint");
  add_environment(arguments.all("--env"), request);
  request.workdir = arguments.get_or("--workdir", "");
  request.user = arguments.get_or("--user", "");
  for (const std::string& volume : arguments.all("--volume"))
    request.mounts.push_back(image::parse_volume(volume));
  const std::string network = arguments.get_or("--network", "host");
  if (network != "host" && network != "none")
    throw Error(ErrorKind::usage, fmt::format("no network '{}'", printable(network)))
        .with_hint("--network host or --network none");
  request.network = network == "host";
  request.read_only = arguments.has("--read-only");
  if (const auto gpus = arguments.get("--gpus"); gpus && *gpus != "none") {
    const bool listed = *gpus == "all" || gpus->starts_with("device=");
    request.gpus = image::gpu_access(listed ? (*gpus == "all" ? *gpus : gpus->substr(7))
                                            : image::first_gpus(*gpus));
  }
  return request;
}

// A file without a name, which the container reads by its descriptor.
std::string keep_in_memory(const std::string& text) {
  const int fd = ::memfd_create("container", 0);
  if (fd < 0) throw system_error(errno, "create", "the container's specification");
  File file(fd, "the container's specification");
  file.write(text);
  return fmt::format("/proc/self/fd/{}", file.release());
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const image::ContainerRequest request = read_request(session);
  image::Layout store = open_images(session);
  const image::Image found = find(session, store, *arguments.get("IMAGE"));
  image::UnpackedLayers unpacked(image::UnpackedLayers::user_folder());
  const image::ContainerSpec spec = image::container_of(
      found, unpacked.ensure(store, found, session.output().progress(), session.stop_token()),
      request);

  std::vector<std::string> words = {"mlp", "__container",
                                    keep_in_memory(dump_json(image::to_json(spec)))};
  for (const char* limit : {"--cpus", "--memory"})
    if (const auto value = arguments.get(limit)) words.insert(words.end(), {limit, *value});
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  session.output().finish();
  for (const int number : {SIGINT, SIGTERM, SIGPIPE})
    std::signal(number, SIG_DFL);
  ::execv("/proc/self/exe", argv.data());
  throw system_error(errno, "start", this_executable().native());
}

} // namespace

extern const Command image_run_command;
const Command image_run_command = {
    .path = "image run",
    .summary = "run a program in a container of an image, without root",
    .category = Category::images,
    .arguments = {{.name = "IMAGE",
                   .help = "a local image, or one that is pulled first",
                   .complete = complete_images},
                  {.name = "COMMAND",
                   .help = "a program and its arguments, in place of the image's command",
                   .required = false,
                   .repeated = true,
                   .verbatim = true}},
    .options =
        {{.name = "--volume",
          .value = "SOURCE:TARGET[:ro]",
          .help = "a file or folder of this machine that is seen at TARGET",
          .repeated = true},
         {.name = "--env",
          .value = "NAME[=VALUE]",
          .help = "a variable; without a value, the one that it has here",
          .letter = 'e',
          .repeated = true},
         {.name = "--workdir", .value = "FOLDER", .help = "the folder to start in", .letter = 'w'},
         {.name = "--user",
          .value = "NAME[:GROUP]",
          .help = "who the program is in the container, also by number",
          .letter = 'u'},
         {.name = "--entrypoint",
          .value = "PROGRAM",
          .help = "in place of the image's entrypoint; '' for none"},
         {.name = "--network",
          .value = "MODE",
          .help = "host (default) or none: nothing but a loopback"},
         {.name = "--gpus",
          .value = "GPUS",
          .help = "all, a number of them, device=0,2 for certain ones, or none (default)"},
         {.name = "--cpus", .value = "N", .help = "use no more than so many, such as 1.5"},
         {.name = "--memory", .value = "SIZE", .help = "use no more than that, such as 4GiB"},
         {.name = "--read-only", .help = "the image's files cannot be changed; /tmp and /run can"},
         plain_http_option()},
    .examples = {{"mlp image run debian:bookworm-slim cat /etc/os-release",
                  "what it prints, and its exit code"},
                 {"mlp image run --volume ./data:/data:ro --gpus all digits python train.py",
                  "with data and GPUs"}},
    .run = run};

} // namespace mlp
