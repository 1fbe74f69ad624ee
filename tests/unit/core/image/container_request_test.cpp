// What an image says and what a person says over it; GPUs as a machine describes them.
#include "core/base/error.hpp"
#include "core/image/container_request.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace mlp;
using namespace mlp::image;

namespace {

Image image_with(std::vector<std::string> entrypoint, std::vector<std::string> command) {
  Image image;
  image.config.defaults = {.user = "app",
                           .workdir = "/src",
                           .env = {"PATH=/bin", "EMPTY=", "=bad", "bad", "TEXT=a=b"},
                           .entrypoint = std::move(entrypoint),
                           .cmd = std::move(command)};
  return image;
}

using Words = std::vector<std::string>;

void put(const fs::path& path, std::string_view text = "") {
  fs::create_directories(path.parent_path());
  write_file_atomic(path, text);
}
bool mounts_at(const GpuAccess& access, std::string_view target) {
  return std::any_of(access.mounts.begin(), access.mounts.end(),
                     [&](const BindMount& mount) { return mount.target == target; });
}

} // namespace

TEST_CASE("a container runs what the image says, or what is said in its place", "[image]") {
  const Image image = image_with({"python", "-u"}, {"train.py"});
  CHECK(container_of(image, {}, {}).arguments == Words{"python", "-u", "train.py"});
  CHECK(container_of(image, {}, {.command = {"serve.py"}}).arguments ==
        Words{"python", "-u", "serve.py"});
  CHECK(container_of(image, {}, {.entrypoint = "sh"}).arguments == Words{"sh"});
  CHECK(container_of(image, {}, {.command = {"ls"}, .entrypoint = ""}).arguments == Words{"ls"});
  CHECK_THROWS_AS(container_of(image_with({}, {}), {}, {}), Error);
  CHECK_THROWS_AS(container_of(image, {}, {.entrypoint = ""}), Error);

  const ContainerSpec spec =
      container_of(image, {"/a", "/b"}, {.environment = {{"PATH", "/opt"}, {"NEW", "1"}}});
  CHECK(spec.layers == std::vector<fs::path>{"/a", "/b"});
  CHECK(spec.environment == std::map<std::string, std::string>{
                                {"PATH", "/opt"}, {"EMPTY", ""}, {"NEW", "1"}, {"TEXT", "a=b"}});
  CHECK(spec.user == "app");
  CHECK(spec.workdir == "/src");
  CHECK(spec.network);
  CHECK(spec.hostname.empty());
  const ContainerSpec other =
      container_of(image, {}, {.workdir = "/w", .user = "0", .network = false});
  CHECK(other.workdir == "/w");
  CHECK(other.user == "0");
  CHECK(other.hostname == "mlp");
}

TEST_CASE("volumes are written as Docker's", "[image]") {
  CHECK(parse_volume("/a:/b") == BindMount{.source = "/a", .target = "/b"});
  CHECK(parse_volume("/a:/b:ro") == BindMount{.source = "/a", .target = "/b", .read_only = true});
  CHECK(parse_volume("a:/b").source == fs::current_path() / "a");
  for (const char* bad : {"/a", ":/b", "/a:b", "/a:/b:xx", "/a:/b:ro:x", ""})
    CHECK_THROWS_AS(parse_volume(bad), Error);
}

TEST_CASE("a container gets the GPUs of a CDI specification", "[image]") {
  const TemporaryDirectory root;
  for (const char* device : {"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"})
    put(root.path() / "dev" / device);
  put(root.path() / "usr/lib64/libcuda.so.535.54");
  fs::create_symlink("libcuda.so.535.54", root.path() / "usr/lib64/libcuda.so.1");
  put(root.path() / "usr/bin/nvidia-smi");
  put(root.path() / "etc/cdi/other.json", R"({"cdiVersion": "0.5.0", "kind": "amd.com/gpu"})");
  put(root.path() / "etc/cdi/nvidia.yaml", R"(---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
  - name: "0"
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia0
  - name: "1"
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia1
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  deviceNodes:
    - path: /dev/nvidiactl
    - path: /dev/not-there
  mounts:
    - hostPath: /usr/lib64/libcuda.so.535.54
      containerPath: /usr/lib64/libcuda.so.535.54
      options: [ro, nosuid, bind]
    - hostPath: /usr/bin/nvidia-smi
      containerPath: /usr/bin/nvidia-smi
  hooks:
    - hookName: createContainer
      path: /usr/bin/nvidia-ctk
)");
  const GpuAccess access = gpu_access("1", root.path());
  CHECK(access.devices ==
        std::vector<fs::path>{root.path() / "dev/nvidia1", root.path() / "dev/nvidiactl"});
  CHECK(access.environment.at("NVIDIA_VISIBLE_DEVICES") == "void");
  CHECK(mounts_at(access, "/usr/local/nvidia/lib64/libcuda.so.1"));
  CHECK(mounts_at(access, "/usr/local/nvidia/lib64/libcuda.so.535.54"));
  CHECK(mounts_at(access, "/usr/bin/nvidia-smi"));
  CHECK_THROWS_AS(gpu_access("7", root.path()), Error);

  const ContainerSpec spec = container_of(image_with({"x"}, {}), {}, {.gpus = access});
  CHECK(spec.environment.at("LD_LIBRARY_PATH") == "/usr/local/nvidia/lib64");
  CHECK(spec.devices == access.devices);
}

TEST_CASE("without a CDI specification a container gets the driver's files", "[image]") {
  const TemporaryDirectory root;
  CHECK_THROWS_AS(gpu_access("all", root.path()), Error);
  for (const char* device : {"nvidia0", "nvidia2", "nvidiactl", "nvidia-uvm", "nvidia-caps/cap1"})
    put(root.path() / "dev" / device);
  put(root.path() / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1");
  const GpuAccess all = gpu_access("all", root.path());
  CHECK(all.devices.size() == 5);
  CHECK(mounts_at(all, "/usr/local/nvidia/lib64/libnvidia-ml.so.1"));
  const GpuAccess one = gpu_access("2", root.path());
  CHECK(one.devices.size() == 4);
  CHECK(one.devices.front() == root.path() / "dev/nvidia2");
  CHECK_THROWS_AS(gpu_access("0,1", root.path()), Error);
  for (const char* bad : {"", "x", "0,", "all,0", "-1"})
    CHECK_THROWS_AS(gpu_access(bad, root.path()), Error);
  CHECK(first_gpus("3") == "0,1,2");
  for (const char* bad : {"", "0", "x", "2x", "1000"})
    CHECK_THROWS_AS(first_gpus(bad), Error);
}
