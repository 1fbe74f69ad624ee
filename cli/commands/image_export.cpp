// `mlp image export`: a local image as one file, also as Apptainer's.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/image/archive.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

namespace mlp {

namespace {

constexpr std::string_view formats = "oci-archive, docker-archive or sif";

// Apptainer has its own format, which its own program writes.
void build_sif(Session& session, const fs::path& archive, const fs::path& file) {
  std::optional<fs::path> program = find_program("apptainer");
  if (!program) program = find_program("singularity");
  if (!program)
    throw Error(ErrorKind::not_found, "no program 'apptainer' to make a SIF file")
        .with_hint("install Apptainer, or write --format oci-archive: apptainer build reads that "
                   "too, on the machine that has it");
  const fs::path made = archive.parent_path() / "image.sif";
  ProcessSpec spec{
      .arguments = {program->native(), "build", made.native(), "oci-archive:" + archive.native()}};
  spec.standard_output = STDERR_FILENO;
  spec.standard_error = STDERR_FILENO;
  spec.dies_with_parent = true;
  Process process = Process::spawn(spec);
  const std::stop_token stop = session.stop_token();
  std::optional<ProcessExit> exit;
  while (!exit) {
    exit = process.wait_for(std::chrono::milliseconds(200));
    if (!exit && stop.stop_requested()) process.signal(SIGTERM);
  }
  if (exit->code != 0)
    throw Error(ErrorKind::failed,
                fmt::format("'{} build' ended with exit code {}", program->native(), exit->code));
  std::error_code code;
  fs::rename(made, file, code);
  if (code) throw system_error(code.value(), "write", file.native());
}

void run(Session& session) {
  const fs::path file = session.arguments().get("FILE").value_or("");
  const std::string format =
      session.arguments().get_or("--format", file.extension() == ".sif" ? "sif" : "oci-archive");
  if (format != "oci-archive" && format != "docker-archive" && format != "sif")
    throw Error(ErrorKind::usage, fmt::format("unknown format '{}'", printable(format)))
        .with_hint(fmt::format("known formats: {}", formats));
  const image::Layout store = open_images(session);
  const image::NamedImage found = local_image(store, session.arguments().get("IMAGE").value_or(""));
  const bool replace = session.arguments().has("--force");
  const auto write = [&](const fs::path& to, image::ArchiveFormat kind) {
    image::write_archive(store, found.manifest, found.name, to, kind, replace,
                         session.output().progress(), session.stop_token());
  };
  if (format == "sif") {
    if (!replace && fs::exists(file))
      throw Error(ErrorKind::conflict, fmt::format("'{}' exists", file.native()))
          .with_hint("--force replaces it");
    const TemporaryDirectory folder(".mlp-", fs::absolute(file).parent_path());
    const fs::path archive = folder.path() / "image.tar";
    write(archive, image::ArchiveFormat::oci);
    build_sif(session, archive, file);
  } else {
    write(file, format == "oci-archive" ? image::ArchiveFormat::oci : image::ArchiveFormat::docker);
  }
  const std::uint64_t bytes = fs::file_size(file);
  session.output().emit(
      json_object({{"image", found.name},
                   {"digest", found.manifest.digest.text()},
                   {"file", file.native()},
                   {"format", format},
                   {"bytes", bytes}}),
      TextView{fmt::format("{}: {} as {} ({})\n", file.native(),
                           found.name.empty() ? found.manifest.digest.text() : found.name, format,
                           format_bytes(bytes))});
}

std::vector<Candidate> complete_formats(Session& /*session*/) {
  return {{"oci-archive", "an OCI layout in a tar"},
          {"docker-archive", "what docker load reads"},
          {"sif", "Apptainer's format"}};
}

} // namespace

extern const Command image_export_command;
const Command image_export_command = {
    .path = "image export",
    .summary = "write a local image to a file",
    .category = Category::images,
    .arguments = {{.name = "IMAGE", .help = "a local image", .complete = complete_images},
                  {.name = "FILE", .help = "the file to write", .complete = complete_files}},
    .options = {{.name = "--format",
                 .value = "FORMAT",
                 .help = "oci-archive, docker-archive or sif; default: oci-archive, or sif for a "
                         "FILE.sif",
                 .complete = complete_formats},
                {.name = "--force", .help = "replace the file if it is there"}},
    .examples = {{"mlp image export digits digits.tar", "for skopeo, podman and mlp image import"},
                 {"mlp image export digits digits.tar --format docker-archive", "for docker load"},
                 {"mlp image export digits digits.sif", "for Apptainer, where it is installed"}},
    .run = run};

} // namespace mlp
