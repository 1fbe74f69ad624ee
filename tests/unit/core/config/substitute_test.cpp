// References in values, and the promise that a value in `run` is one literal text: tried with the
// real shell.
#include "core/config/substitute.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

using namespace mlp::config;

namespace {

OrderedMap<Scalar> params(std::initializer_list<std::pair<const char*, const char*>> values) {
  OrderedMap<Scalar> map;
  for (const auto& [name, value] : values)
    map.set(name, {ScalarType::string, value, {}});
  return map;
}

const char* environment(const char* name) {
  return std::string(name) == "HOST" ? "node-1" : nullptr;
}

// What /bin/sh prints.
std::string shell(const std::string& program) {
  std::FILE* pipe = ::popen(program.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  char buffer[256];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr)
    out += buffer;
  ::pclose(pipe);
  return out;
}

} // namespace

TEST_CASE("substitution replaces params and environment, and leaves the rest to the shell") {
  const auto map = params({{"lr", "0.1"}, {"a.b", "x"}});
  const SubstitutionValues values{map, environment};
  CHECK(substitute("--lr ${params.lr} ${env.HOST}", values) == "--lr 0.1 node-1");
  CHECK(substitute("${params.a.b}${params.lr}", values) == "x0.1");
  CHECK(substitute("$HOME ${HOME} $$ $1 $(date) ${x:-y} $", values) ==
        "$HOME ${HOME} $$ $1 $(date) ${x:-y} $");
  CHECK(substitute("$${params.lr} $${env.HOST} $${other}", values) ==
        "${params.lr} ${env.HOST} $${other}");
  CHECK_FALSE(has_reference("${HOME} $(params.x)"));
  CHECK(has_reference("a${params.x"));
}

TEST_CASE("substitution names what is missing and where") {
  const auto map = params({{"lr", "0.1"}});
  const SubstitutionValues values{map, environment};
  const auto problem = [&](const char* text) {
    try {
      static_cast<void>(substitute(text, values));
    } catch (const SubstitutionError& error) {
      return std::to_string(error.offset) + ": " + error.what() + "; " + error.hint;
    }
    return std::string("none");
  };
  CHECK(problem("a ${params.rl}") == "2: no param 'rl'; did you mean 'lr'?");
  CHECK(problem("${env.NOPE}") ==
        "0: environment variable 'NOPE' is not set; set it: export NOPE=...");
  CHECK(problem("x${params.lr\n}") == "1: a '}' is missing after this '${'; ");
  CHECK(problem("${env.}") == "0: a name is missing after '${env.'; ");
}

TEST_CASE("a value in a program is one literal text, whatever it holds and wherever it stands") {
  const char* const nasty[] = {"plain",  "a b",         "it's",      "\"",          "$(echo bad)",
                               "`echo`", "x; echo bad", "a\nb",      "\\",          "*",
                               "~",      "$HOME",       "'; echo '", "\"; echo \"", "-n",
                               "#x",     "a\\",         "!",         "&& echo bad", ""};
  const char* const places[] = {
      "printf '%s|' ${params.v}",
      "printf '%s|' \"${params.v}\"",
      "printf '%s|' '${params.v}'",
      "x=${params.v}; printf '%s|' \"$x\"",
      ("printf '%s|' $(printf '%s' ${params.v} | od -An -v -tx1 | tr -d ' \\n') > /dev/null; "
       "printf '%s|' ${params.v}"),
      "# don't mind this comment\nprintf '%s|' ${params.v}",
      "printf '%s|' \"$(printf '%s' \"${params.v}\")\"",
      "echo \"it's\" 'a \"b' >/dev/null; printf '%s|' ${params.v}",
      "echo \\' >/dev/null; printf '%s|' \"${params.v}\"",
  };
  for (const char* value : nasty) {
    const auto map = params({{"v", value}});
    for (const char* place : places) {
      INFO("value: " << value << "\nplace: " << place);
      const std::string program = substitute_for_shell(place, {map, environment});
      CHECK(shell(program) == std::string(value) + "|");
    }
  }
}

TEST_CASE("where the shell's state cannot be told only plain values are taken") {
  const char* const places[] = {
      "cat <<EOF\n${params.v}\nEOF\n",
      "x=`echo ${params.v}`",
      "echo ${x:-${params.v}}",
      "# comment ${params.v}",
      "echo \"$(case a in a) echo ${params.v};; esac)\"",
      "echo $'${params.v}'",
      "echo \\${params.v}",
  };
  const auto plain = params({{"v", "0.1"}});
  const auto nasty = params({{"v", "$(echo bad)"}});
  for (const char* place : places) {
    INFO(place);
    CHECK_NOTHROW(substitute_for_shell(place, {plain, environment}));
    CHECK_THROWS_WITH(substitute_for_shell(place, {nasty, environment}),
                      "the value of '${params.v}' cannot be quoted safely here");
  }
}
