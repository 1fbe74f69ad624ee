// What an s3: URL means, and the XML of its answers.
#include "backends/storage/s3/s3_place.hpp"
#include "backends/storage/s3/xml.hpp"
#include "core/base/error.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace mlp;
using namespace mlp::storage;

namespace {

S3Place place_of(const std::string& url, std::map<std::string, std::string> variables = {}) {
  return read_s3_url(net::parse_url(url), [&](const char* name) -> const char* {
    const auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second.c_str();
  });
}

std::string url_of(const S3Place& place, std::string_view key) {
  return place.address(key, place.region).url;
}

} // namespace

TEST_CASE("a bucket of Amazon's is addressed by host name, in its region") {
  const auto place = place_of("s3://team-bucket/digits/v1/?region=eu-west-1");
  CHECK(place.prefix == "digits/v1/");
  CHECK(url_of(place, "digits/v1/packs/a b") ==
        "https://team-bucket.s3.eu-west-1.amazonaws.com/digits/v1/packs/a%20b");
  CHECK(url_of(place, "") == "https://team-bucket.s3.eu-west-1.amazonaws.com/");
  CHECK(place.address("k", "us-west-2").host == "team-bucket.s3.us-west-2.amazonaws.com");
  CHECK(url_of(place_of("s3://team-bucket"), "k") ==
        "https://team-bucket.s3.us-east-1.amazonaws.com/k");
  CHECK(url_of(place_of("s3://team-bucket?region=cn-north-1"), "k") ==
        "https://team-bucket.s3.cn-north-1.amazonaws.com.cn/k");
  // A dot would not match the certificate.
  CHECK(url_of(place_of("s3://team.bucket"), "k") ==
        "https://s3.us-east-1.amazonaws.com/team.bucket/k");
}

TEST_CASE("other endpoints are addressed by path unless told otherwise") {
  const auto place = place_of("s3://team/p?endpoint=http://127.0.0.1:9000/");
  CHECK(url_of(place, "p/k") == "http://127.0.0.1:9000/team/p/k");
  CHECK(place.address("p/k", "").host == "127.0.0.1:9000");
  CHECK(place.address("p/k", "").path == "/team/p/k");
  CHECK(url_of(place, "") == "http://127.0.0.1:9000/team");
  CHECK(url_of(place_of("s3://team?endpoint=https://s3.example.org:443&addressing=virtual"), "k") ==
        "https://team.s3.example.org/k");
  CHECK(url_of(place_of("s3://team?endpoint=https://example.org/s3gw"), "k") ==
        "https://example.org/s3gw/team/k");
  const auto from_environment =
      place_of("s3://team/p", {{"AWS_ENDPOINT_URL_S3", "https://s3.example.org"}});
  CHECK(url_of(from_environment, "k") == "https://s3.example.org/team/k");
  CHECK(from_environment.location == "s3://team/p?endpoint=https://s3.example.org");
}

TEST_CASE("a URL that names no bucket, holds secrets or unknown words is refused") {
  for (const char* url :
       {"s3:", "s3://", "s3://ab", "s3://a_/x", "s3://key:secret@team", "s3://team:80/x",
        "s3://team#x", "s3://team?endpont=https://x", "s3://team?endpoint=", "s3://team/../x",
        "s3://team/a b", "s3://team?endpoint=ftp://x", "s3://team?endpoint=https://k:s@x",
        "s3://team?endpoint=https://x%3Fy=1", "s3://team?region=a/b", "s3://team?addressing=dns",
        "s3://team?anonymous=maybe", "s3://team?profile=nobody"}) {
    INFO(url);
    try {
      (void)place_of(url);
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      CHECK(error.message().find("secret") == std::string::npos);
    }
  }
}

TEST_CASE("XML of a store is parsed, with entities and CDATA") {
  const auto root = parse_xml("\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- c --><E a='1' b=\"&amp;\">"
                              "<Code>Slow&#68;own</Code><M>a &lt;b&gt; &#x20AC;<![CDATA[<&>]]></M>"
                              "<Empty/></E>\n");
  REQUIRE(root);
  CHECK(root->name == "E");
  CHECK(root->value("Code") == "SlowDown");
  CHECK(root->value("M") == "a <b> \xe2\x82\xac<&>");
  CHECK(root->find("Empty") != nullptr);
  CHECK(root->find("None") == nullptr);
  CHECK(root->value("None").empty());
  CHECK(xml_escape("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&apos;");
}

TEST_CASE("XML that is broken, has its own entities or nests too deep is refused") {
  std::string deep;
  for (int i = 0; i < 100; ++i)
    deep += "<a>";
  for (const std::string& text :
       {std::string(), std::string("text"), std::string("<a>"), std::string("<a></b>"),
        std::string("<a/><b/>"), std::string("<a>&x;</a>"), std::string("<a>&#0;</a>"),
        std::string("<a>&#xD800;</a>"), std::string("<a>&#x110000;</a>"), std::string("<a x></a>"),
        std::string("<a x='1></a>"), std::string("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
        std::string("<a>\xff</a>"), std::string("<a>\0</a>", 8), std::string("<a><!-- </a>"),
        std::string("<a><![CDATA[</a>"), std::string("<1a/>"), deep}) {
    INFO(text);
    CHECK_FALSE(parse_xml(text));
  }
  std::string many = "<a>";
  for (std::size_t i = 0; i < max_xml_elements; ++i)
    many += "<b/>";
  CHECK_FALSE(parse_xml(many + "</a>"));
}
