// The registry of models: names, versions, aliases.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/model/registry.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace mlp;
using namespace mlp::model;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  config::Project project{folder.path() / "p"};
  fs::path files = folder.path() / "m";
  Fixture() {
    fs::create_directories(project.root);
    config::make_state_folders(project);
    fs::create_directories(files / "sub");
    write_file_atomic(files / "model.onnx", std::string(300'000, 'w'));
    write_file_atomic(files / "sub" / "classes.txt", "a\nb\n");
  }
  ModelVersion add(std::string name, std::string run = "") {
    ModelVersion about;
    about.name = std::move(name);
    about.lineage.run = std::move(run);
    return ModelRegistry(project).add(files, about);
  }
};

std::string error_of(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

} // namespace

TEST_CASE("every way to name a model is understood, and nothing else", "[model]") {
  CHECK(parse_model_reference("digits") == ModelReference{"digits", "", std::nullopt, ""});
  CHECK(parse_model_reference("digits@champion").alias == "champion");
  CHECK(parse_model_reference("digits@12").version == 12);
  CHECK(parse_model_reference("digits@sha256:0123abcd").digest == "0123abcd");
  for (const char* text : {"digits", "digits@champion", "digits@12", "digits@sha256:0123abcd"})
    CHECK(parse_model_reference(text).text() == text);
  for (const char* wrong :
       {"", "@3", "a/b", "../x", "digits@", "digits@0", "digits@99999999999999999999",
        "digits@sha256:", "digits@sha256:012", "digits@sha256:XYZXYZXYZ", "digits@a b", "a@b@c"})
    CHECK_THROWS_AS(parse_model_reference(wrong), Error);
}

TEST_CASE("versions count up and are found by number, alias and digest", "[model]") {
  Fixture f;
  ModelRegistry registry(f.project);
  CHECK(registry.names().empty());
  CHECK(error_of([&] { (void)registry.versions("digits"); }) == "no model 'digits'");
  const ModelVersion one = f.add("digits", "run-1");
  CHECK(one.version == 1);
  CHECK(one.files == 2);
  CHECK(one.bytes == 300'004);
  CHECK(f.add("digits", "run-1").version == 1); // the same again
  CHECK(f.add("digits", "run-2").version == 2);
  write_file_atomic(f.files / "model.onnx", "other");
  const ModelVersion three = f.add("digits", "run-3");
  CHECK(three.version == 3);
  CHECK(three.digest != one.digest);

  const auto find = [&](std::string_view text) {
    return registry.find(parse_model_reference(text)).version;
  };
  CHECK(find("digits") == 3);
  CHECK(find("digits@latest") == 3);
  CHECK(find("digits@1") == 1);
  CHECK(find("digits@" + three.digest.text()) == 3);
  CHECK(find("digits@sha256:" + one.digest.hex().substr(0, 8)) == 2); // the newest that has it
  registry.set_alias("digits", "champion", 1);
  CHECK(find("digits@champion") == 1);
  registry.set_alias("digits", "champion", 2);
  CHECK(find("digits@champion") == 2);
  CHECK(registry.aliases("digits") == std::map<std::string, std::int64_t>{{"champion", 2}});
  CHECK(registry.registered_from("run-2") == std::vector<std::string>{"digits@2"});
  CHECK(error_of([&] { find("digits@champion2"); }) == "model 'digits' has no alias 'champion2'");
  CHECK(error_of([&] { find("digits@9"); }) == "model 'digits' has no version 9; the latest is 3");
  CHECK(error_of([&] { find("digit"); }) == "no model 'digit'");
  CHECK(error_of([&] { registry.set_alias("digits", "latest", 1); }) ==
        "'latest' is always the newest version");
  CHECK(error_of([&] { registry.set_alias("digits", "7", 1); }) == "'7' is no valid alias");
  CHECK(error_of([&] { registry.set_alias("digits", "x", 7); }).find("no version 7") !=
        std::string::npos);
  CHECK(registry.remove_alias("digits", "champion"));
  CHECK_FALSE(registry.remove_alias("digits", "champion"));
}

TEST_CASE("metadata comes back as it was registered", "[model]") {
  Fixture f;
  ModelVersion about;
  about.name = "digits";
  about.user = "ada";
  about.description = "first";
  about.signature =
      Signature{{{"image", DataType::uint8, {-1, 8, 8}}}, {{"label", DataType::string, {-1}}}};
  about.classes = {"0", "1"};
  about.metrics = {{"test_accuracy", 0.975}};
  about.lineage = {.run = "r",
                   .task = "train",
                   .datasets = {{"d", "sha256:aa"}},
                   .params = {{"lr", "0.1"}},
                   .params_digest = "sha256:bb",
                   .commit = "c0ffee",
                   .dirty = true};
  const ModelVersion added = ModelRegistry(f.project).add(f.files, about);
  const ModelVersion read = ModelRegistry(f.project).find(parse_model_reference("digits@1"));
  CHECK(to_json(read) == to_json(added));
  CHECK(read.lineage == about.lineage);
  CHECK(read.signature->inputs[0].shape == Shape{-1, 8, 8});

  const fs::path path = f.project.refs() / "models" / "digits" / "1.json";
  for (const char* damage : {"{", "{}", R"({"name":1})", "[]"}) {
    write_file_atomic(path, damage);
    CHECK_THROWS_AS(ModelRegistry(f.project).find(parse_model_reference("digits@1")), Error);
  }
}

TEST_CASE("exported files are those that were registered", "[model]") {
  Fixture f;
  const ModelRegistry registry(f.project);
  const ModelVersion version = f.add("digits");
  const fs::path target = f.folder.path() / "out";
  registry.export_files(version, target, false);
  CHECK(read_file(target / "model.onnx") == std::string(300'000, 'w'));
  CHECK(read_file(target / "sub" / "classes.txt") == "a\nb\n");
  write_file_atomic(target / "model.onnx", "mine");
  CHECK_THROWS_AS(registry.export_files(version, target, false), Error);
  CHECK(read_file(target / "model.onnx") == "mine");
  registry.export_files(version, target, true);
  CHECK(read_file(target / "model.onnx").size() == 300'000);
  const fs::path cached = registry.materialize(version);
  CHECK(cached == registry.materialize(version));
  CHECK(read_file(cached / "sub" / "classes.txt") == "a\nb\n");
}

TEST_CASE("one file is registered under its own name", "[model]") {
  Fixture f;
  ModelVersion about;
  about.name = "net";
  ModelRegistry registry(f.project);
  const ModelVersion version = registry.add(f.files / "model.onnx", about);
  CHECK(version.files == 1);
  CHECK(fs::exists(registry.materialize(version) / "model.onnx"));
  fs::create_symlink("/etc/passwd", f.files / "link");
  CHECK(error_of([&] { registry.add(f.files, about); }).find("holds a symbolic link") !=
        std::string::npos);
  fs::create_directories(f.folder.path() / "empty");
  CHECK(error_of([&] { registry.add(f.folder.path() / "empty", about); }).find("no file") !=
        std::string::npos);
}

TEST_CASE("of several who register at once each gets a version of its own", "[model]") {
  Fixture f;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] { f.add("digits", "run-" + std::to_string(t)); });
  threads.clear();
  const auto versions = ModelRegistry(f.project).versions("digits");
  REQUIRE(versions.size() == 4);
  CHECK(versions.front().version == 4);
}
