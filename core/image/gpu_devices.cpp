// Libraries all go to one folder, under the names that the dynamic linker looks for
// ("libcuda.so.1"), because the linker's cache is the image's and does not know them.
#include "core/image/gpu_devices.hpp"

#include "core/base/text.hpp"
#include "core/config/yaml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace mlp::image {

namespace {

using config::YamlNode;

// Where NVIDIA's own images expect them.
const std::string library_folder = "/usr/local/nvidia/lib64";
constexpr std::string_view nvidia_kind = "nvidia.com/gpu";
constexpr std::array<const char*, 2> cdi_folders = {"etc/cdi", "var/run/cdi"};
constexpr std::array<const char*, 8> library_folders = {"usr/lib/x86_64-linux-gnu",
                                                        "usr/lib/aarch64-linux-gnu",
                                                        "usr/lib64",
                                                        "usr/lib",
                                                        "usr/local/nvidia/lib64",
                                                        "run/opengl-driver/lib",
                                                        "usr/lib/wsl/lib",
                                                        "usr/local/cuda/compat"};
constexpr std::array<const char*, 10> libraries = {"libcuda.so.1",
                                                   "libnvidia-ml.so.1",
                                                   "libnvidia-ptxjitcompiler.so.1",
                                                   "libnvidia-nvvm.so.4",
                                                   "libcudadebugger.so.1",
                                                   "libnvidia-opencl.so.1",
                                                   "libnvcuvid.so.1",
                                                   "libnvidia-encode.so.1",
                                                   "libnvidia-cfg.so.1",
                                                   "libnvidia-allocator.so.1"};
constexpr std::array<const char*, 4> programs = {"nvidia-smi", "nvidia-cuda-mps-control",
                                                 "nvidia-cuda-mps-server", "nvidia-debugdump"};
constexpr std::array<const char*, 4> shared_devices = {"nvidiactl", "nvidia-uvm",
                                                       "nvidia-uvm-tools", "nvidia-modeset"};

bool is_there(const fs::path& path) {
  std::error_code code;
  return fs::exists(path, code);
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    out.push_back(it->path());
  std::sort(out.begin(), out.end());
  return out;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() < 4 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "libcuda.so.535.54" is looked for as "libcuda.so.1": its links beside it say so.
std::set<std::string> names_of_library(const fs::path& library) {
  std::set<std::string> names = {library.filename().native()};
  std::error_code code;
  const fs::path real = fs::canonical(library, code);
  const std::string stem = library.filename().native();
  const std::size_t so = stem.find(".so");
  for (const fs::path& other : files_of(library.parent_path())) {
    const std::string name = other.filename().native();
    if (name.compare(0, so + 3, stem, 0, so + 3) == 0 && fs::canonical(other, code) == real)
      names.insert(name);
  }
  return names;
}

class Access {
 public:
  explicit Access(fs::path root) : root_(std::move(root)) {}

  void add_device(const std::string& path) {
    const fs::path there = root_ / fs::path(path).relative_path();
    if (!is_there(there)) return;
    if (std::find(out_.devices.begin(), out_.devices.end(), there) == out_.devices.end())
      out_.devices.push_back(there);
  }
  void add_library(const fs::path& path) {
    if (!is_there(path)) return;
    out_.library_folder = library_folder;
    for (const std::string& name : names_of_library(path))
      add_mount(path, fmt::format("{}/{}", library_folder, name));
  }
  void add_mount(const fs::path& source, const std::string& target) {
    const auto same = [&](const BindMount& mount) { return mount.target == target; };
    if (is_there(source) && std::none_of(out_.mounts.begin(), out_.mounts.end(), same))
      out_.mounts.push_back({.source = source, .target = target, .read_only = true});
  }
  void set(const std::string& name, const std::string& value) { out_.environment[name] = value; }

  [[nodiscard]] const fs::path& root() const noexcept { return root_; }
  [[nodiscard]] GpuAccess take() { return std::move(out_); }

 private:
  fs::path root_;
  GpuAccess out_;
};

std::string text_at(const YamlNode& node, std::string_view key) {
  const YamlNode* value = node.find(key);
  return value == nullptr ? std::string() : value->text;
}

// `containerEdits`
void apply_edits(const YamlNode* edits, Access& access) {
  if (edits == nullptr) return;
  if (const YamlNode* environment = edits->find("env"))
    for (const YamlNode& variable : environment->items)
      if (const std::size_t equals = variable.text.find('='); equals != std::string::npos)
        access.set(variable.text.substr(0, equals), variable.text.substr(equals + 1));
  if (const YamlNode* devices = edits->find("deviceNodes"))
    for (const YamlNode& device : devices->items)
      access.add_device(text_at(device, "path"));
  const YamlNode* mounts = edits->find("mounts");
  if (mounts == nullptr) return;
  for (const YamlNode& mount : mounts->items) {
    const fs::path source = access.root() / fs::path(text_at(mount, "hostPath")).relative_path();
    const std::string target = text_at(mount, "containerPath");
    const bool library = source.filename().native().find(".so") != std::string::npos;
    if (library)
      access.add_library(source);
    else if (target.starts_with('/'))
      access.add_mount(source, target);
  }
}

// True if the specification is of NVIDIA's GPUs and has the wanted ones.
bool apply_specification(const YamlNode& root, const std::vector<std::string>& wanted,
                         Access& access) {
  if (text_at(root, "kind") != nvidia_kind) return false;
  const YamlNode* devices = root.find("devices");
  if (devices == nullptr) return false;
  for (const std::string& name : wanted) {
    const auto named = [&](const YamlNode& device) { return text_at(device, "name") == name; };
    const auto found = std::find_if(devices->items.begin(), devices->items.end(), named);
    if (found == devices->items.end())
      throw Error(ErrorKind::not_found,
                  fmt::format("no GPU '{}' in the CDI specification", printable(name)));
    apply_edits(found->find("containerEdits"), access);
  }
  apply_edits(root.find("containerEdits"), access);
  return true;
}

bool from_cdi(const std::vector<std::string>& wanted, Access& access) {
  for (const char* folder : cdi_folders)
    for (const fs::path& file : files_of(access.root() / folder)) {
      const std::string ending = file.extension().native();
      if (ending != ".yaml" && ending != ".yml" && ending != ".json") continue;
      const config::YamlLimits limits{.max_line_bytes = 1u << 20};
      const auto document = config::YamlDocument::load(file, file.native(), limits);
      if (apply_specification(document.root(), wanted, access)) return true;
    }
  return false;
}

void from_driver(const std::vector<std::string>& wanted, Access& access) {
  bool found = false;
  for (const fs::path& device : files_of(access.root() / "dev")) {
    const std::string name = device.filename().native();
    const std::string index = name.starts_with("nvidia") ? name.substr(6) : std::string();
    if (!is_number(index)) continue;
    if (wanted.front() != "all" && std::find(wanted.begin(), wanted.end(), index) == wanted.end())
      continue;
    access.add_device("/dev/" + name);
    found = true;
  }
  if (!found) return;
  for (const std::string& index : wanted)
    if (index != "all" && !is_there(access.root() / "dev" / ("nvidia" + index)))
      throw Error(ErrorKind::not_found, fmt::format("no GPU {} on this machine", index));
  for (const char* name : shared_devices)
    access.add_device(fmt::format("/dev/{}", name));
  for (const fs::path& device : files_of(access.root() / "dev" / "nvidia-caps"))
    access.add_device(fmt::format("/dev/nvidia-caps/{}", device.filename().native()));
  for (const char* library : libraries)
    for (const char* folder : library_folders)
      if (is_there(access.root() / folder / library)) {
        access.add_library(access.root() / folder / library);
        break;
      }
  for (const char* program : programs)
    access.add_mount(access.root() / "usr/bin" / program, fmt::format("/usr/bin/{}", program));
}

} // namespace

GpuAccess gpu_access(std::string_view wanted, const fs::path& root) {
  const std::vector<std::string> names = split(wanted, ',');
  for (const std::string& name : names)
    if (!is_number(name) && !(name == "all" && names.size() == 1))
      throw Error(ErrorKind::usage, fmt::format("'{}' names no GPUs", printable(wanted)))
          .with_hint("all, none, a number of them, or their indices with commas: 0,2");
  Access access(root);
  if (!from_cdi(names, access)) from_driver(names, access);
  GpuAccess out = access.take();
  if (out.empty())
    throw Error(ErrorKind::not_found, "this machine has no GPU that a container could get")
        .with_hint("mlp gpu ls lists the GPUs; NVIDIA's driver must be loaded");
  return out;
}

std::string first_gpus(std::string_view count) {
  int number = 0;
  const auto [end, code] = std::from_chars(count.data(), count.data() + count.size(), number);
  if (code != std::errc() || end != count.data() + count.size() || number < 1 || number > 256)
    throw Error(ErrorKind::usage, fmt::format("'{}' is no number of GPUs", printable(count)));
  std::string out;
  for (int i = 0; i < number; ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ",", i);
  return out;
}

} // namespace mlp::image
