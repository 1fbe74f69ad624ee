// What a container is started with, as a document.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/image/container.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::image;

TEST_CASE("a container's specification comes back from its document", "[image]") {
  ContainerSpec spec;
  spec.layers = {"/layers/a", "/layers/\xff"};
  spec.upper = "/changes/upper";
  spec.work = "/changes/work";
  spec.read_only = true;
  spec.arguments = {"sh", "-c", "echo \xfe", ""};
  spec.environment = {{"A", "1"}, {"B", "\x80"}};
  spec.inherited = {"TOKEN"};
  spec.workdir = "/src";
  spec.user = "app:app";
  spec.mounts = {{.source = "/data", .target = "/mnt", .read_only = true}};
  spec.devices = {"/dev/nvidia0"};
  spec.network = true;
  spec.hostname = "";
  spec.signal_group = true;
  spec.pretend_root = true;
  const std::string text = dump_json(to_json(spec));
  const ContainerSpec back = container_spec_from_json(parse_json(text, "spec"), "spec");
  CHECK(back.layers == spec.layers);
  CHECK(back.upper == spec.upper);
  CHECK(back.work == spec.work);
  CHECK(back.arguments == spec.arguments);
  CHECK(back.environment == spec.environment);
  CHECK(back.inherited == spec.inherited);
  CHECK(back.mounts == spec.mounts);
  CHECK(back.devices == spec.devices);
  CHECK(back.workdir == spec.workdir);
  CHECK(back.user == spec.user);
  CHECK(back.hostname.empty());
  CHECK((back.read_only && back.network && back.signal_group && back.pretend_root));
}

TEST_CASE("what is no container's specification is named", "[image]") {
  const Json good = to_json(ContainerSpec{.arguments = {"true"}});
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    bad[key] = 7;
    CHECK_THROWS_AS(container_spec_from_json(bad, "spec"), Error);
    bad.erase(key);
    CHECK_THROWS_AS(container_spec_from_json(bad, "spec"), Error);
  }
  Json hex = good;
  hex["user"] = json_object({{"hex", "zz"}});
  CHECK_THROWS_AS(container_spec_from_json(hex, "spec"), Error);
}
