// Dockerfiles: from their text to stages of instructions, and from a stage to the steps that a
// build carries out. Both are pure: nothing is read, fetched or run.
// Sources: docs.docker.com/reference/dockerfile; BuildKit's parser where that text is silent
// (heredocs, what quotes and escapes do).
#pragma once

#include "core/image/oci.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mlp::image {

// Beyond these a Dockerfile is refused.
inline constexpr std::size_t max_dockerfile_bytes = 1u << 20;
inline constexpr std::size_t max_dockerfile_instructions = 2048;
inline constexpr std::size_t max_dockerfile_value = 128u
                                                    << 10; // of a word with its variables in it

using BuildArgs = std::map<std::string, std::string, std::less<>>;

struct Heredoc {
  std::string name;
  std::string content; // each line with its end; tabs as they were
  bool expand = true;  // its name was not quoted
  bool strip_tabs = false;
  bool operator==(const Heredoc&) const = default;
};

struct InstructionFlag { // --name or --name=value, quotes removed
  std::string name;
  std::optional<std::string> value;
  bool operator==(const InstructionFlag&) const = default;
};

struct Instruction {
  std::string keyword; // in capitals
  std::vector<InstructionFlag> flags;
  std::string rest;                             // continued lines joined, comments gone
  std::optional<std::vector<std::string>> list; // `rest`, if it is a JSON array of texts
  std::vector<Heredoc> heredocs;
  unsigned line = 0;                      // the first, from 1
  [[nodiscard]] std::string text() const; // as history shows it
};

struct Stage {
  std::string name;                      // in small letters; may be empty
  std::string base;                      // a reference or "scratch"; empty with `base_stage`
  std::optional<std::size_t> base_stage; // an earlier one
  std::vector<Instruction> instructions; // without the FROM
  unsigned line = 0;
};

struct Dockerfile {
  std::string name; // as errors show it: "NAME:12: ..."
  char escape = '\\';
  std::vector<Stage> stages; // at least one
  BuildArgs given;           // build arguments as they were passed in
  BuildArgs global;          // what ARG gave before the first FROM, and what Docker predefines
  std::vector<std::string> unused; // of `given`: no ARG declares them
};

// Instructions, flags and mounts that cannot be built are Error(config) "NAME:LINE: ...", whether
// or not a stage is needed; so are a base or a copy from a stage that is not an earlier one, a
// `--platform` other than `platform`, and texts beyond the limits.
[[nodiscard]] Dockerfile parse_dockerfile(std::string_view text, std::string_view name,
                                          const BuildArgs& args, const Platform& platform);

// By name in any case, or number; the last for "". Throws Error(not_found).
[[nodiscard]] std::size_t find_stage(const Dockerfile& dockerfile, std::string_view target);
// That of COPY --from=`name` in a stage; nullopt: it is an image.
[[nodiscard]] std::optional<std::size_t> earlier_stage(const Dockerfile& dockerfile,
                                                       std::size_t stage, std::string_view name);
// `target` and what it is based on or copies from, each after all that it needs.
[[nodiscard]] std::vector<std::size_t> needed_stages(const Dockerfile& dockerfile,
                                                     std::size_t target);

struct SecretMount {
  std::string id;
  std::string target; // absolute, or relative to the working directory
  bool required = false;
  bool operator==(const SecretMount&) const = default;
};

struct RunStep {
  std::vector<std::string> arguments; // the shell applied
  // Not empty: a program with a first line "#!". It is to be found, executable, at arguments[0].
  std::string script;
  std::map<std::string, std::string> environment; // of ENV and ARG
  std::string workdir, user;
  std::vector<SecretMount> secrets;
  // Folders (mounts of type cache and tmpfs) that are empty before the step and no part of the
  // layer.
  std::vector<std::string> scratch_folders;
  bool network = true;
  bool operator==(const RunStep&) const = default;
};

struct InlineFile {
  std::string name, content;
  bool operator==(const InlineFile&) const = default;
};

struct CopyStep {
  // Where from: an earlier stage, else an image unless it is empty, else the context.
  std::optional<std::size_t> from_stage;
  std::string from_image;
  // Relative to the context or the root of `from`, cleaned: never with "..". Patterns of Go's
  // filepath.Match (`*`, `?`, `[a-z]`, `\x`). A folder stands for what is in it.
  std::vector<std::string> sources;
  std::vector<InlineFile> files;    // heredocs
  std::string target;               // absolute; ends in '/' if it has to be a folder
  std::optional<std::string> chown; // USER[:GROUP], names or numbers; 0:0 without it
  std::optional<unsigned> chmod;
  bool unpack =
      false; // ADD: a source that is a tar, plain or compressed, is unpacked into `target`
  bool operator==(const CopyStep&) const = default;
};

struct WorkdirStep {
  std::string path; // absolute; made if it is not there, which is a layer then
  bool operator==(const WorkdirStep&) const = default;
};

struct ConfigStep { // changes only the defaults or build arguments
  bool operator==(const ConfigStep&) const = default;
};

struct Step {
  std::variant<RunStep, CopyStep, WorkdirStep, ConfigStep> action;
  unsigned line = 0;
  std::string text; // as written, variables not replaced: for history, names no value of an ARG
};

// What a stage starts from: of an image its defaults only; of a stage what evaluation gave.
struct StageScope {
  Defaults defaults;
  BuildArgs args;
};

struct StageSteps {
  std::vector<Step> steps;
  StageScope scope; // at the end; its defaults are those of the stage's image
};

// Puts values for variables: ENV goes before ARG. As it needs no files, all stages can be evaluated
// before the first step runs. Throws Error(config) "NAME:LINE: ...".
[[nodiscard]] StageSteps evaluate_stage(const Dockerfile& dockerfile, std::size_t stage,
                                        const StageScope& base);

} // namespace mlp::image
