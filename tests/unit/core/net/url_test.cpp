// The splitting of RFC 3986, and that nothing secret is printed.
#include "core/base/error.hpp"
#include "core/net/url.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::net;

TEST_CASE("a URL is split into its decoded parts") {
  const Url url = parse_url("S3://us%40er:p%3Ass@Host.Example:9000/a%20b/c?x=1&y=%20#frag");
  CHECK(url.scheme == "s3");
  CHECK(url.user == "us@er");
  CHECK(url.password == "p:ss");
  CHECK(url.host == "host.example");
  CHECK(url.port == 9000u);
  CHECK(url.path == "/a b/c");
  CHECK(url.query == "x=1&y=%20");
  CHECK(url.fragment == "frag");
}

TEST_CASE("a file: URL is relative without slashes and absolute with one or three") {
  CHECK(parse_url("file:data/x").path == "data/x");
  CHECK(parse_url("file:/data/x").path == "/data/x");
  CHECK(parse_url("file:///data/x").path == "/data/x");
  CHECK(parse_url("file://localhost/x").host == "localhost");
  CHECK_FALSE(parse_url("file:x").has_authority);
}

TEST_CASE("an IPv6 address keeps its colons") {
  const Url url = parse_url("http://[2001:DB8::1]:80/x");
  CHECK(url.host == "2001:db8::1");
  CHECK(url.port == 80u);
  CHECK(redacted(url) == "http://[2001:db8::1]:80/x");
}

TEST_CASE("what is no URL is refused with the reason") {
  for (const char* text :
       {"", "/tmp/x", "data", ":x", "1a:x", "fi le:x", "http://h:99999/", "http://h:a/", "file:%zz",
        "file:%4", "file:%00", "http://[::1", "http://[::1]x/", "file:a\nb", "http://u%:p@h/"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_url(text), Error);
  }
  CHECK_THROWS_AS(parse_url("file:" + std::string(10000, 'a')), Error);
}

TEST_CASE("no password and no token is printed") {
  CHECK(redacted(parse_url("s3://key:secret@host/b")) == "s3://key:***@host/b");
  CHECK(redacted(parse_url("https://h/x?X-Amz-Signature=abc&a=1&token=t#f")) ==
        "https://h/x?X-Amz-Signature=***&a=1&token=***#f");
  CHECK(redacted("s3://key:sec@ret@host:bad/x") == "s3://key:***@host:bad/x");
  try {
    (void)parse_url("s3://key:hunter2@host:bad/x");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.message().find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a printed URL is the same URL when read again") {
  for (const char* text :
       {"file:///a%20b/%25", "s3://bucket/key?region=x", "file:a/b", "http://h:8080/"}) {
    const Url url = parse_url(text);
    CHECK(parse_url(redacted(url)) == url);
  }
}
