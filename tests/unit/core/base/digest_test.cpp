// Vectors of FIPS 180-4's examples (NIST CSRC).
#include "core/base/digest.hpp"

#include <catch2/catch.hpp>

using namespace mlp;

TEST_CASE("sha256 gives the published digests") {
  CHECK(sha256("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("a running digest equals the digest of the whole, and starts anew") {
  Sha256 running;
  running.update("a");
  running.update("bc");
  CHECK(running.finish() == sha256("abc"));
  running.update("abc");
  CHECK(running.finish() == sha256("abc"));
}

TEST_CASE("a digest is read back from its text, and nothing else is a digest") {
  const Digest digest = sha256("abc");
  CHECK(parse_digest(digest.text()) == digest);
  CHECK(parse_digest(digest.hex()) == digest);
  CHECK_FALSE(parse_digest(digest.hex().substr(1)));
  CHECK_FALSE(parse_digest("sha256:" + std::string(64, 'g')));
}
