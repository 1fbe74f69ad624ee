// What an ssh: URL means, what ssh is started with, and what its failures are called.
#include "backends/storage/ssh/server.hpp"
#include "backends/storage/ssh/ssh_place.hpp"
#include "tests/conformance/storage_words.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace mlp;
using namespace mlp::storage;
using test::kind_of;

namespace {

SshPlace place_of(const std::string& url) {
  return read_ssh_url(net::parse_url(url));
}

std::vector<std::string> words_of(const std::string& url, const SshOptions& options = {},
                                  bool asks = false) {
  return ssh_arguments(place_of(url), options, asks);
}

bool holds(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

SshFailure end_of(const std::string& text, int code = 255, bool greeted = false) {
  return explain_end(place_of("ssh://ada@gpu1:2200/srv"), {},
                     {.code = code, .greeted = greeted, .standard_error = text});
}

} // namespace

TEST_CASE("an ssh: URL names a user, a host, a port and a folder") {
  const auto words = words_of("ssh://ada@gpu1.example.org:2200/srv/team/digits/");
  CHECK(words.front() == "ssh");
  CHECK(holds(words, "-oBatchMode=yes"));
  const auto port = std::ranges::find(words, "-p");
  REQUIRE(port != words.end());
  CHECK(*(port + 1) == "2200");
  REQUIRE(words.size() > 3);
  CHECK(words[words.size() - 3] == "--");
  CHECK(words[words.size() - 2] == "ada@gpu1.example.org");
  CHECK(words.back() == "mlp storage-serve /srv/team/digits");
  CHECK_FALSE(holds(words_of("ssh://h/x", {}, true), "-oBatchMode=yes"));
  CHECK_FALSE(holds(words_of("ssh://h/x"), "-p"));
  CHECK(words_of("ssh://[fe80::1]/x").end()[-2] == "fe80::1");
  CHECK(words_of("ssh://h/~/a").back() == "mlp storage-serve /~/a");
  CHECK(place_of("ssh://h/~/a").location == "ssh://h/~/a");
}

TEST_CASE("a URL that ssh or a shell could take for something else is refused") {
  for (const char* url :
       {"ssh://-oProxyCommand=x/y", "ssh://-x@h/y", "ssh://a%20b/x", "ssh://h%0a/x", "ssh://$(x)/y",
        "ssh://u%3bx@h/y", "ssh://u%24@h/y", "ssh:///x", "ssh:x", "ssh://h", "ssh://h/",
        "ssh://h/~", "ssh://h/~/", "ssh://h/~bob/x", "ssh://h/a%0ab", "ssh://u:secret@h/x",
        "ssh://h/x?y", "ssh://h/x#y", "ssh://h:0/x"}) {
    INFO(url);
    CHECK(kind_of([&] { (void)place_of(url); }) == ErrorKind::config);
  }
}

TEST_CASE("no shell at the other end finds anything of its own in the path") {
  const std::string command = words_of("ssh://h/it's $(x) `y` \"z\";!\\&*%3f[]{}<>|~%25%23").back();
  CHECK(command.find_first_of("'$(`\";!\\&*?[]{}<>|# ", 18) == std::string::npos);
  CHECK(command.starts_with("mlp storage-serve /it"));
  const std::string path = command.substr(18);
  CHECK(served_path(path, "/home/ada") == "/it's $(x) `y` \"z\";!\\&*?[]{}<>|~%#");
}

TEST_CASE("a served path is absolute or below the home") {
  CHECK(served_path("/srv/a%20b", "") == "/srv/a b");
  CHECK(served_path("/~/a/b", "/home/ada") == "/home/ada/a/b");
  for (const char* path : {"", "x", "~/x", "%2", "/~/x", "/%00"}) {
    INFO(path);
    CHECK(kind_of([&] { (void)served_path(path, ""); }) == ErrorKind::config);
  }
}

TEST_CASE("the remote program is one word, whatever the shell there") {
  const auto program = [](const std::string& text) {
    const std::string command = words_of("ssh://h/x", {.remote_program = text}).back();
    return command.substr(0, command.find(" storage-serve"));
  };
  CHECK(program("/opt/mlp-1.2/bin/mlp") == "/opt/mlp-1.2/bin/mlp");
  CHECK(program("~/.local/bin/mlp") == "~/.local/bin/mlp");
  CHECK(program("~/my tools/mlp") == "~/'my tools/mlp'");
  CHECK(program("/a;b$c") == "'/a;b$c'");
  for (const char* text : {"", "-x", "a'b", "a!b", "a\\b", "a\nb"}) {
    INFO(text);
    CHECK(kind_of([&] { (void)program(text); }) == ErrorKind::config);
  }
}

TEST_CASE("the ssh command is words, with quotes and without a shell") {
  using Words = std::vector<std::string>;
  CHECK(split_words(" ssh  -i '/my key' -o \"A b\"c ''") ==
        Words{"ssh", "-i", "/my key", "-o", "A bc", ""});
  CHECK(split_words("ssh $HOME;x") == Words{"ssh", "$HOME;x"});
  for (const char* text : {"", "  ", "ssh 'x", "ssh \"x", "''"}) {
    INFO(text);
    CHECK(kind_of([&] { (void)split_words(text); }) == ErrorKind::config);
  }
}

TEST_CASE("how ssh ended is an error with a remedy, and says whether to try again") {
  CHECK(end_of("Host key verification failed.").error.kind() == ErrorKind::denied);
  CHECK(
      end_of("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.")
          .error.message()
          .find("is not the one") != std::string::npos);
  const auto denied = end_of("Warning: x\nada@gpu1: Permission denied (publickey).\r\n");
  CHECK(denied.error.kind() == ErrorKind::denied);
  CHECK(denied.error.message() ==
        "no access to host 'gpu1': ada@gpu1: Permission denied (publickey).");
  CHECK(denied.error.hints().at(0).find("ssh -p 2200 ada@gpu1") != std::string::npos);
  CHECK_FALSE(denied.transient);
  const auto refused = end_of("ssh: connect to host gpu1 port 2200: Connection refused");
  CHECK(refused.error.kind() == ErrorKind::unreachable);
  CHECK(refused.transient);
  CHECK_FALSE(end_of("ssh: Could not resolve hostname gpu1: Name or service not known").transient);
  CHECK(end_of("client_loop: send disconnect: Broken pipe", 255, true).transient);
  CHECK(end_of("", 137, true).transient);
  const auto missing = end_of("bash: line 1: mlp: command not found", 127);
  CHECK(missing.error.kind() == ErrorKind::not_found);
  CHECK(missing.error.hints().size() == 2);
  CHECK(end_of("mlp: error: 'storage-serve' is not an mlp command", 2)
            .error.message()
            .find("too old") != std::string::npos);
  CHECK(end_of("mlp: error: it is the root\n", 3).error.message() ==
        "mlp at host 'gpu1' ended with code 3: it is the root");
  // What comes from the other end is not for the terminal to obey.
  CHECK(end_of("\x1b[2Jgone", 1).error.message().find('\x1b') == std::string::npos);
}
