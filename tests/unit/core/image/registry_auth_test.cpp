// Challenges of registries, and the files and helpers that hold users' passwords.
#include "core/base/error.hpp"
#include "core/image/docker_config.hpp"
#include "core/image/registry_auth.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace mlp;
using namespace mlp::image;

namespace {

// The program's PATH with a folder in front of it.
class PathWith {
 public:
  explicit PathWith(const fs::path& folder) : before_(std::getenv("PATH")) {
    ::setenv("PATH", (folder.native() + ":" + before_).c_str(), 1);
  }
  PathWith(PathWith&&) = delete;
  ~PathWith() { ::setenv("PATH", before_.c_str(), 1); }

 private:
  std::string before_;
};

void helper(const fs::path& folder, const std::string& name, const std::string& script) {
  write_file_atomic(folder / ("docker-credential-" + name), "#!/bin/sh\n" + script, 0755);
}

} // namespace

TEST_CASE("challenges are read as servers write them", "[image]") {
  const auto one = parse_challenges(
      R"(Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push")");
  REQUIRE(one.size() == 1);
  CHECK(one[0].scheme == "bearer");
  CHECK(one[0].parameters.find("realm")->second == "https://auth.example.com/token");
  CHECK(one[0].parameters.find("scope")->second == "repository:a/b:pull,push");
  const auto two = parse_challenges(R"(Negotiate, BASIC Realm = "a \"b\"" , Bearer realm=x)");
  REQUIRE(two.size() == 3);
  CHECK(two[1].scheme == "basic");
  CHECK(two[1].parameters.find("realm")->second == R"(a "b")");
  for (const std::string_view text :
       {"", ",,,", "=", "\"", "a=\"", "Bearer realm=\"", "===,\"\",=\\"})
    (void)parse_challenges(text);
}

TEST_CASE("only addresses of this machine are loopback", "[image]") {
  for (const std::string_view host : {"localhost", "localhost:5000", "127.0.0.1:1", "127.9.8.7",
                                      "[::1]", "[::1]:5000", "a.localhost"})
    CHECK(is_loopback(host));
  for (const std::string_view host : {"127.0.0.1.example.com", "localhost.example.com", "128.0.0.1",
                                      "[::2]:5000", "127.a.0.1", "127.1", "mylocalhost", ""})
    CHECK_FALSE(is_loopback(host));
}

TEST_CASE("base64 is that of RFC 4648", "[image]") {
  CHECK(encode_base64("") == "");
  CHECK(encode_base64("f") == "Zg==");
  CHECK(encode_base64("fo") == "Zm8=");
  CHECK(encode_base64("foobar") == "Zm9vYmFy");
  CHECK(decode_base64("Zm9vYg==") == "foob");
  CHECK(decode_base64("Zm9vYmE") == "fooba");
  CHECK_FALSE(decode_base64("Z"));
  CHECK_FALSE(decode_base64("Zm 9"));
}

TEST_CASE("credentials are found under all names that tools write", "[image]") {
  const TemporaryDirectory folder;
  const fs::path file = folder.path() / "config.json";
  write_file_atomic(file, R"({"auths": {
    "https://index.docker.io/v1/": {"auth": "YWRhOnNlY3JldDp4"},
    "quay.io/team": {"auth": "dGVhbTpw"}, "quay.io": {"auth": "YWxsOnA="},
    "https://old.example.com/v1/": {"username": "u", "password": "p"},
    "id.example.com": {"identitytoken": "tok"}, "empty.example.com": {}}})");
  const std::vector<fs::path> files{folder.path() / "none.json", file};
  const auto user = [&](std::string_view host, std::string_view repository) {
    const auto found = find_credentials(files, host, repository);
    return found ? found->user + "/" + found->password + "/" + found->identity_token : "none";
  };
  CHECK(user("docker.io", "library/debian") == "ada/secret:x/");
  CHECK(user("quay.io", "team/app") == "team/p/");
  CHECK(user("quay.io", "teamed/app") == "all/p/");
  CHECK(user("old.example.com", "a") == "u/p/");
  CHECK(user("id.example.com", "a") == "//tok");
  CHECK(user("empty.example.com", "a") == "none");
  CHECK(user("evil.com", "quay.io") == "none");
  CHECK(user("quay.io:5000", "a") == "none");

  write_file_atomic(file, R"({"auths": {"h.example.com": {"auth": "!SECRET!"}}})");
  try {
    (void)find_credentials(files, "h.example.com", "a");
    FAIL("damaged");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(error.message().find("SECRET") == std::string::npos);
  }
}

TEST_CASE("credential helpers are asked by standard input, within a time", "[image]") {
  const TemporaryDirectory folder;
  const PathWith path(folder.path());
  const fs::path file = folder.path() / "config.json";
  write_file_atomic(file, R"({"credHelpers": {"a.example.com": "one"}, "credsStore": "none"})");
  helper(folder.path(), "one",
         "read server; printf '{\"ServerURL\":\"%s\",\"Username\":\"%s\",\"Secret\":\"s\"}' "
         "$server \"$1-$server\"");
  helper(folder.path(), "none", "echo credentials not found in native keychain; exit 1");
  helper(folder.path(), "token", "echo '{\"Username\":\"<token>\",\"Secret\":\"id\"}'");
  helper(folder.path(), "broken", "echo SECRET; exit 0");
  helper(folder.path(), "slow", "exec sleep 60");
  helper(folder.path(), "endless", "exec yes");
  CHECK(find_credentials({file}, "a.example.com", "x")->user == "get-a.example.com");
  CHECK_FALSE(find_credentials({file}, "b.example.com", "x"));
  CHECK(ask_credential_helper("token", "h")->identity_token == "id");
  for (const char* name : {"broken", "slow", "endless", "missing", "../one", ""}) {
    INFO(name);
    try {
      (void)ask_credential_helper(name, "h", std::chrono::milliseconds(300));
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.message().find("SECRET") == std::string::npos);
    }
  }
}

TEST_CASE("a token is fetched once for a scope, and anew when the registry refuses it", "[image]") {
  const TemporaryDirectory folder;
  const fs::path file = folder.path() / "config.json";
  write_file_atomic(file, R"({"auths": {"h.example.com": {"auth": "YWRhOnNlY3JldA=="}}})");
  std::vector<net::HttpRequest> requests;
  RegistryAuth auth({.host = "h.example.com",
                     .credential_files = {file},
                     .is_private = true,
                     .send = [&](net::HttpRequest request) {
                       requests.push_back(request);
                       net::HttpResponse response;
                       response.status = 200;
                       response.body = R"({"token":"t)" + std::to_string(requests.size()) + R"("})";
                       return response;
                     }});
  const Scope pull{.repository = "a/b"};
  CHECK(auth.authorization(pull).empty());
  net::HttpResponse refused;
  refused.status = 401;
  refused.headers = {
      {"www-authenticate", R"(Bearer realm="https://auth.example.com/t",service="s")"}};
  CHECK(auth.challenged(refused, pull, ""));
  CHECK(auth.authorization(pull) == "Bearer t1");
  CHECK(auth.authorization(pull) == "Bearer t1");
  CHECK(auth.authorization({.repository = "a/b", .push = true}) == "Bearer t2");
  CHECK(auth.challenged(refused, pull, "Bearer t1"));
  CHECK(auth.authorization(pull) == "Bearer t3");
  REQUIRE(requests.size() == 3);
  CHECK(requests[0].url == "https://auth.example.com/t?service=s&scope=repository%3Aa%2Fb%3Apull"
                           "&account=ada");
  CHECK(requests[0].headers.back().second == "Basic YWRhOnNlY3JldA==");

  refused.headers = {{"www-authenticate", R"(Bearer realm="http://auth.example.com/t")"}};
  CHECK(auth.challenged(refused, pull, "Bearer t3"));
  CHECK_THROWS_AS(auth.authorization(pull), Error); // in the clear
  CHECK(requests.size() == 3);
}

TEST_CASE("a registry without TLS is never told a secret", "[image]") {
  const TemporaryDirectory folder;
  const fs::path file = folder.path() / "config.json";
  write_file_atomic(file, R"({"auths": {"h.example.com": {"auth": "YWRhOnNlY3JldA=="}}})");
  RegistryAuth auth(
      {.host = "h.example.com", .credential_files = {file}, .is_private = false, .send = {}});
  net::HttpResponse refused;
  refused.headers = {{"www-authenticate", R"(Basic realm="x")"}};
  const Scope scope{.repository = "a"};
  CHECK_FALSE(auth.challenged(refused, scope, ""));
  CHECK(auth.authorization(scope).empty());
  CHECK(auth.hint().find("TLS") != std::string::npos);
}
