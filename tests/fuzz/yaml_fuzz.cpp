// Text from outside as mlp.yaml and as mlp.lock: read, resolved, edited. Only mlp::Error may leave,
// and what is read must survive being written.
#include "core/base/error.hpp"
#include "core/config/edit.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project_file.hpp"
#include "core/config/yaml.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace mlp;
using namespace mlp::config;

namespace {

template <class Body>
void quietly(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.message().empty()) std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64u << 10) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  quietly([&] {
    const YamlDocument document = YamlDocument::parse(text, "f.yaml");
    // The same text is the same tree.
    if (!document.root().same_as(YamlDocument::parse(text, "f.yaml").root())) std::abort();
  });
  quietly([&] {
    const ProjectFile file = parse_project_file(text);
    for (const Named<Task>& task : file.tasks)
      quietly([&] {
        static_cast<void>(resolve_task(file, task.name, {}, [](const char*) { return "it's $x"; }));
      });
  });
  quietly([&] {
    const LockFile lock = parse_lock_file(text);
    if (parse_lock_file(format_lock_file(lock)) != lock) std::abort();
  });
  quietly([&] {
    const std::string added =
        add_mapping_entry(text, "f.yaml", "datasets", "fuzz-entry", "{path: x}");
    if (YamlDocument::parse(added, "f.yaml").root().find("datasets")->find("fuzz-entry") == nullptr)
      std::abort();
    quietly([&] {
      static_cast<void>(remove_mapping_entry(added, "f.yaml", "datasets", "fuzz-entry"));
    });
  });
  return 0;
}
