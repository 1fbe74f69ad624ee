// Where credentials come from, and in which order.
#include "core/base/fs.hpp"
#include "core/net/aws.hpp"
#include "core/net/ini.hpp"
#include "tests/unit/core/net/scripted_server.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace mlp;
using namespace mlp::net;
using test::Peer;
using test::ScriptedServer;

namespace {

struct Home {
  TemporaryDirectory folder;
  std::map<std::string, std::string> variables;

  Home() {
    make_directories(folder.path() / ".aws");
    variables = {{"HOME", folder.path().native()}, {"AWS_EC2_METADATA_DISABLED", "true"}};
  }
  void file(const std::string& name, std::string_view text) const {
    write_file_atomic(folder.path() / ".aws" / name, text);
  }
  [[nodiscard]] EnvironmentOf environment() const {
    return [this](const char* name) -> const char* {
      const auto at = variables.find(name);
      return at == variables.end() ? nullptr : at->second.c_str();
    };
  }
};

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.message() + (error.hints().empty() ? "" : " | " + error.hints()[0]);
  }
  return "";
}

const char* const credentials_text = "# comment\n[default]\naws_access_key_id = AKDEFAULT\n"
                                     "aws_secret_access_key=s/e+c=ret # not of it\n\n"
                                     "[team]\naws_access_key_id = AKTEAM\n"
                                     "aws_secret_access_key = two#three\naws_session_token = T==\n";

} // namespace

TEST_CASE("INI text is read as AWS writes it, and nothing else is taken for it") {
  const auto file = parse_ini("\xef\xbb\xbf; c\n[profile a]\r\nRegion = eu-1\ns3 =\n  "
                              "max_concurrent = 3\nx=1\nx = 2\n[b]\n",
                              "f");
  CHECK(file.size() == 2);
  CHECK(file.at("profile a") == std::map<std::string, std::string, std::less<>>{
                                    {"region", "eu-1"}, {"s3", ""}, {"x", "2"}});
  CHECK(message_of([] { (void)parse_ini("x = 1\n", "f"); }).starts_with("f:1: "));
  CHECK(message_of([] { (void)parse_ini("[a]\n\n[b\n", "f"); }).starts_with("f:3: "));
  const auto secret = message_of([] { (void)parse_ini("[a]\nhunter2\n", "f"); });
  CHECK(secret.starts_with("f:2: "));
  CHECK(secret.find("hunter2") == std::string::npos);
  CHECK_THROWS_AS(parse_ini(std::string(max_ini_bytes + 1, '#'), "f"), Error);
}

TEST_CASE("keys in the environment come before those in files") {
  Home home;
  home.file("credentials", credentials_text);
  CHECK(load_aws_profile(home.environment()).credentials->secret_key == "s/e+c=ret");
  home.variables["AWS_ACCESS_KEY_ID"] = "AKENV";
  home.variables["AWS_SECRET_ACCESS_KEY"] = "env";
  CHECK(load_aws_profile(home.environment()).credentials->access_key == "AKENV");
  CHECK(load_aws_profile(home.environment(), "team").credentials->access_key == "AKTEAM");
}

TEST_CASE("a profile has its own keys, region and endpoint") {
  Home home;
  home.file("credentials", credentials_text);
  home.file("config", "[default]\nregion = us-east-2\n[profile team]\nregion = eu-central-1\n"
                      "endpoint_url = https://s3.team\nca_bundle = ~/ca.pem\n");
  home.variables["AWS_PROFILE"] = "team";
  auto profile = load_aws_profile(home.environment());
  CHECK(profile.credentials->access_key == "AKTEAM");
  CHECK(profile.credentials->secret_key == "two#three");
  CHECK(profile.credentials->session_token == "T==");
  CHECK(profile.region == "eu-central-1");
  CHECK(profile.endpoint == "https://s3.team");
  CHECK(profile.ca_file == (home.folder.path() / "ca.pem").native());
  home.variables["AWS_REGION"] = "eu-west-1";
  home.variables["AWS_ENDPOINT_URL"] = "https://all";
  home.variables["AWS_ENDPOINT_URL_S3"] = "https://s3";
  profile = load_aws_profile(home.environment());
  CHECK(profile.region == "eu-west-1");
  CHECK(profile.endpoint == "https://s3");
  CHECK(message_of([&] { (void)load_aws_profile(home.environment(), "taem"); }) ==
        "no AWS profile 'taem' | did you mean 'team'?");
}

TEST_CASE("files elsewhere are found by their variables") {
  Home home;
  write_file_atomic(home.folder.path() / "keys", credentials_text);
  home.variables["AWS_SHARED_CREDENTIALS_FILE"] = (home.folder.path() / "keys").native();
  CHECK(load_aws_profile(home.environment()).credentials->access_key == "AKDEFAULT");
}

TEST_CASE("without credentials the error says what to do") {
  Home home;
  HttpClient client;
  CredentialSource none(load_aws_profile(home.environment()), home.environment(), client);
  CHECK(message_of([&] { (void)none.get(); }).find("AWS_ACCESS_KEY_ID") != std::string::npos);
  home.file("config", "[default]\nsso_session = work\n");
  CredentialSource sso(load_aws_profile(home.environment()), home.environment(), client);
  const auto message = message_of([&] { (void)sso.get(); });
  CHECK(message.find("'sso_session'") != std::string::npos);
  CHECK(message.find("export-credentials") != std::string::npos);
}

TEST_CASE("a container's endpoint gives keys, which are kept until they are about to end") {
  std::atomic<int> asked = 0;
  std::atomic<bool> short_lived = false;
  ScriptedServer server([&](Peer& peer, int) {
    for (std::string request; !(request = peer.request()).empty();) {
      if (request.find("Authorization: tok\r\n") == std::string::npos) {
        peer.answer(403, "{}");
        continue;
      }
      ++asked;
      peer.answer(200, fmt::format(R"({{"AccessKeyId":"AK{}","SecretAccessKey":"s","Token":"t",)"
                                   R"("Expiration":"{}"}})",
                                   asked.load(),
                                   short_lived ? "2020-01-01T00:00:00Z" : "2093-01-01T00:00:00Z"));
    }
  });
  Home home;
  home.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = server.url() + "/role";
  home.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "tok";
  HttpClient client;
  CredentialSource source(load_aws_profile(home.environment()), home.environment(), client);
  CHECK(source.get().access_key == "AK1");
  CHECK(source.get().session_token == "t");
  CHECK(asked == 1);
  short_lived = true;
  CHECK(source.renew(source.get()));
  CHECK(source.get().access_key == "AK2");
  CHECK(source.get().access_key == "AK3");

  home.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://example.com/role";
  CredentialSource unsafe(load_aws_profile(home.environment()), home.environment(), client);
  CHECK(message_of([&] { (void)unsafe.get(); }).find("neither https") != std::string::npos);
}

TEST_CASE("a machine's role gives keys by IMDSv2 only: no token, no keys") {
  std::atomic<bool> tokens = true;
  ScriptedServer server([&](Peer& peer, int) {
    for (std::string request; !(request = peer.request()).empty();) {
      const bool token = request.find("X-aws-ec2-metadata-token: TOKEN\r\n") != std::string::npos;
      if (request.starts_with("PUT /latest/api/token ") && tokens)
        peer.answer(200, "TOKEN");
      else if (!token)
        peer.answer(401, "");
      else if (request.starts_with("GET /latest/meta-data/iam/security-credentials/ "))
        peer.answer(200, "builder\n");
      else if (request.starts_with("GET /latest/meta-data/iam/security-credentials/builder "))
        peer.answer(200, R"({"Code":"Success","AccessKeyId":"AKROLE","SecretAccessKey":"s",)"
                         R"("Token":"t","Expiration":"2093-01-01T00:00:00Z"})");
      else
        peer.answer(404, "");
    }
  });
  Home home;
  home.variables.erase("AWS_EC2_METADATA_DISABLED");
  home.variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server.url();
  HttpClient client;
  CredentialSource source(load_aws_profile(home.environment()), home.environment(), client);
  CHECK(source.get().access_key == "AKROLE");
  tokens = false;
  CredentialSource none(load_aws_profile(home.environment()), home.environment(), client);
  CHECK_THROWS_AS(none.get(), Error);
}
