// Settings: where a value comes from, what is refused, how the user's file is written.
#include "core/base/error.hpp"
#include "core/config/settings.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <set>

using namespace mlp;
using namespace mlp::config;

namespace {

struct World {
  TemporaryDirectory folder;
  std::map<std::string, std::string> variables{{"XDG_CONFIG_HOME", folder.path().native()}};

  [[nodiscard]] EnvironmentLookup lookup() const {
    return [this](const char* name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    };
  }
  [[nodiscard]] fs::path path() const { return folder.path() / "mlp" / "config.yaml"; }
  void write(const std::string& text) const {
    make_directories(path().parent_path());
    write_file_atomic(path(), text);
  }
};

} // namespace

TEST_CASE("settings: the table holds no key, variable or bad default twice") {
  std::set<std::string_view> keys, variables;
  for (const SettingDefinition& one : setting_definitions()) {
    INFO(one.key);
    CHECK(keys.insert(one.key).second);
    CHECK((one.environment.empty() || variables.insert(one.environment).second));
    CHECK_NOTHROW(check_setting(one.key, std::string(one.default_value)));
    CHECK_FALSE(one.description.empty());
    CHECK(one.key.find('.') != std::string_view::npos);
  }
}

TEST_CASE("settings: an option stands above the environment, that above the file, that above the "
          "default") {
  World world;
  CHECK(Settings::load(world.lookup()).get_int("data.jobs") == 0);
  CHECK(Settings::load(world.lookup()).source("data.jobs") == SettingSource::default_value);
  world.write("data: {jobs: 2}\nserve: {timeout: 2m, max_body: 1MiB}\nui: {progress: off}\n");
  const Settings from_file = Settings::load(world.lookup());
  CHECK(from_file.get_int("data.jobs") == 2);
  CHECK(from_file.origin("data.jobs") == world.path().native() + ":1:14");
  CHECK(from_file.get_duration("serve.timeout") == std::chrono::minutes(2));
  CHECK(from_file.get_size("serve.max_body") == 1u << 20);
  CHECK_FALSE(from_file.get_bool("ui.progress"));
  world.variables["MLP_JOBS"] = "3";
  CHECK(Settings::load(world.lookup()).get_int("data.jobs") == 3);
  const Settings given = Settings::load(world.lookup(), {{"data.jobs", "4"}});
  CHECK(given.get_int("data.jobs") == 4);
  CHECK(given.source("data.jobs") == SettingSource::option);
  CHECK(given.origin("data.jobs") == "--jobs");
  world.variables["MLP_JOBS"] = ""; // as if it were not set
  CHECK(Settings::load(world.lookup()).get_int("data.jobs") == 2);
}

TEST_CASE("settings: NO_COLOR turns colours off unless mlp's own variable says otherwise") {
  World world;
  world.variables["NO_COLOR"] = "1";
  CHECK(Settings::load(world.lookup()).get_string("ui.color") == "never");
  world.variables["MLP_COLOR"] = "always";
  CHECK(Settings::load(world.lookup()).get_string("ui.color") == "always");
}

TEST_CASE("settings: a wrong value is refused with its place") {
  World world;
  const auto message = [&](const std::map<std::string, std::string>& overrides = {}) {
    try {
      static_cast<void>(Settings::load(world.lookup(), overrides));
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("no error");
  };
  CHECK(message({{"data.jobs", "many"}}) ==
        "'--jobs' must be a whole number from 0 to 1024, not 'many'");
  CHECK(message({{"data.compression_level", "20"}}) ==
        "'--compression-level' must be a whole number from 1 to 19, not '20'");
  CHECK(message({{"serve.timeout", "soon"}}) ==
        "'--timeout' must be a duration such as 500ms, 30s or 5m, from 10ms to 86400s, not 'soon'");
  CHECK(message({{"serve.max_body", "99999999999GiB"}}) ==
        "'--max-body' must be a size such as 64KiB or 16MiB, from 1.0 KiB to 16.0 GiB, not "
        "'99999999999GiB'");
  world.variables["MLP_SERVE_PORT"] = "65536";
  CHECK(
      message() ==
      "environment variable 'MLP_SERVE_PORT' must be a whole number from 0 to 65535, not '65536'");
  world.variables.erase("MLP_SERVE_PORT");
  world.write("serve:\n  port: x\n");
  CHECK(message() == world.path().native() +
                         ":2:9: 'serve.port' must be a whole number from 0 to 65535, not 'x'");
  world.write("serve:\n  prot: 1\n");
  CHECK(message() == world.path().native() + ":2:3: unknown setting 'serve.prot'");
  world.write("ui: {color: blue}\n");
  CHECK(message() ==
        world.path().native() + ":1:13: 'ui.color' must be one of auto, always, never, not 'blue'");
  world.write("[1]\n");
  CHECK(message() == world.path().native() + ":1:1: this is not a map of settings");
}

TEST_CASE("settings: a change keeps the rest of the user's file") {
  World world;
  set_user_setting(world.lookup(), "data.jobs", "4");
  struct ::stat info {};
  REQUIRE(::stat(world.path().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(Settings::load(world.lookup()).get_int("data.jobs") == 4);
  set_user_setting(world.lookup(), "data.jobs", "4");
  set_user_setting(world.lookup(), "data.jobs", "5"); // the only entry of the file
  CHECK(Settings::load(world.lookup()).get_int("data.jobs") == 5);

  world.write("# mine\nui:\n  color: never # dark\ndata:\n  jobs: 1\n  compression_level: 9\n");
  set_user_setting(world.lookup(), "data.jobs", "2");
  set_user_setting(world.lookup(), "serve.host", "::1");
  set_user_setting(world.lookup(), "remote.default", "true");
  CHECK(read_file(world.path()) ==
        "# mine\nui:\n  color: never # dark\ndata:\n  compression_level: 9\n  jobs: 2\n"
        "serve:\n  host: \"::1\"\nremote:\n  default: \"true\"\n");
  set_user_setting(world.lookup(), "serve.host", std::nullopt);
  set_user_setting(world.lookup(), "serve.host", std::nullopt);
  CHECK(Settings::load(world.lookup()).get_string("serve.host") == "127.0.0.1");
  CHECK(Settings::load(world.lookup()).get_string("remote.default") == "true");
}

TEST_CASE("settings: a change that is not valid is refused and writes nothing") {
  World world;
  CHECK_THROWS_WITH(set_user_setting(world.lookup(), "data.job", "1"), "no setting 'data.job'");
  CHECK_THROWS_WITH(set_user_setting(world.lookup(), "data.jobs", "-1"),
                    "'data.jobs' must be a whole number from 0 to 1024, not '-1'");
  CHECK_FALSE(fs::exists(world.path()));
  world.variables.clear();
  CHECK_THROWS_WITH(set_user_setting(world.lookup(), "data.jobs", "1"),
                    "there is no place for settings");
}

TEST_CASE("settings: a path of XDG_CONFIG_HOME that is not absolute is ignored") {
  World world;
  world.variables = {{"XDG_CONFIG_HOME", "relative"}, {"HOME", "/home/ada"}};
  CHECK(user_config_path(world.lookup()) == "/home/ada/.config/mlp/config.yaml");
}

TEST_CASE("units: durations and sizes are read exactly, and nothing else is one") {
  using namespace std::chrono_literals;
  CHECK(parse_duration("2ms") == 2000us);
  CHECK(parse_duration("1.5s") == 1'500'000us);
  CHECK(parse_duration("2h") == 7'200'000'000us);
  CHECK(parse_duration("1d") == 86'400'000'000us);
  for (const char* bad : {"", "s", "-1s", "1 s", "1", "1e9s", "infs", "nans", "1sec", "99999999d"})
    CHECK_FALSE(parse_duration(bad));
  CHECK(parse_size("512") == 512u);
  CHECK(parse_size("1.5KiB") == 1536u);
  CHECK(parse_size("2GB") == 2'000'000'000u);
  for (const char* bad : {"", "B", "-1", "1 KiB", "0.5", "1kib", "1e3", "99999999TiB"})
    CHECK_FALSE(parse_size(bad));
}
