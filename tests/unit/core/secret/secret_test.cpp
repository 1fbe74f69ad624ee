// Secrets: what is sealed opens only as what it was; the store's rules; text that comes in parts is
// masked as if it came at once.
#include "core/base/error.hpp"
#include "core/secret/key.hpp"
#include "core/secret/masker.hpp"
#include "core/secret/names.hpp"
#include "core/secret/store.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <random>

using namespace mlp;
using namespace mlp::secret;

namespace {

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::failed;
}

const Key key_one(Key::Bytes{1}), key_two(Key::Bytes{2});

std::string in_parts(const MaskedValues& values, std::string_view text, std::size_t step) {
  Masker masker(values);
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += step)
    masker.write(text.substr(at, step), out);
  masker.finish(out);
  return out;
}

} // namespace

TEST_CASE("a sealed value opens under its name and key only, and each sealing differs",
          "[secret]") {
  for (const std::string& value :
       {std::string("x"), std::string("a\0b\xff\n", 5), std::string(max_value_bytes, 'z')}) {
    const std::string file = seal(key_one, "TOKEN", value);
    CHECK(file.size() == value.size() + 44);
    CHECK(unseal(key_one, "TOKEN", file) == value);
    CHECK(seal(key_one, "TOKEN", value) != file);
    CHECK(kind_of([&] { (void)unseal(key_one, "OTHER", file); }) == ErrorKind::integrity);
    CHECK(kind_of([&] { (void)unseal(key_two, "TOKEN", file); }) == ErrorKind::integrity);
    CHECK(kind_of([&] { (void)unseal(key_one, "TOKEN", file.substr(1)); }) == ErrorKind::integrity);
    CHECK(kind_of([&] { (void)unseal(key_one, "TOKEN", file + "x"); }) == ErrorKind::integrity);
  }
  const std::string file = seal(key_one, "TOKEN", "value");
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string changed = file;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    CHECK(kind_of([&] { (void)unseal(key_one, "TOKEN", changed); }) == ErrorKind::integrity);
  }
  CHECK(kind_of([] { (void)seal(key_one, "TOKEN", ""); }) == ErrorKind::usage);
  CHECK(kind_of([] { (void)seal(key_one, "T", std::string(max_value_bytes + 1, 'x')); }) ==
        ErrorKind::usage);
}

TEST_CASE("a key is 64 hexadecimal digits or 32 bytes", "[secret]") {
  const std::string digits = "0200000000000000000000000000000000000000000000000000000000000000";
  for (const std::string& text : {digits, digits + "\n", digits + "\r\n"})
    CHECK(parse_key(text).value().bytes() == key_two.bytes());
  CHECK(parse_key(std::string(32, '\n')).has_value());
  for (const std::string& text : {std::string(), digits.substr(1), digits + "0", digits + "\n\n",
                                  "g" + digits.substr(1), std::string(33, 'x')})
    CHECK_FALSE(parse_key(text).has_value());
}

TEST_CASE("names of secrets are those of environment variables", "[secret]") {
  for (const char* name : {"A", "_", "HF_TOKEN", "a1"})
    CHECK(is_valid_secret_name(name));
  for (const char* name : {"", "1A", "A-B", "A.B", "../A", "MLP_RUN_ID", "A B", "\xc3\xa4"})
    CHECK_FALSE(is_valid_secret_name(name));
  CHECK(is_valid_secret_name(std::string(128, 'A')));
  CHECK_FALSE(is_valid_secret_name(std::string(129, 'A')));
}

TEST_CASE("the store keeps, lists and removes secrets for its user alone", "[secret]") {
  const TemporaryDirectory home;
  const fs::path folder = home.path() / "mlp" / "secrets";
  SecretStore store(folder, {});
  CHECK(store.list().empty());
  store.set("B", "two");
  store.set("A", "one");
  store.set("A", "three");
  REQUIRE(store.list().size() == 2);
  CHECK(store.list()[0].name == "A");
  CHECK(SecretStore(folder, {}).get("A") == "three");
  CHECK(kind_of([&] { (void)store.get("C"); }) == ErrorKind::not_found);
  CHECK(kind_of([&] { (void)store.get("../secrets.key"); }) == ErrorKind::not_found);
  CHECK(kind_of([&] { store.remove({"A", "C"}); }) == ErrorKind::not_found);
  CHECK(store.list().size() == 2);
  struct stat info {};
  REQUIRE(::stat((folder / "A").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);

  fs::copy_file(folder / "B", folder / "A", fs::copy_options::overwrite_existing);
  CHECK(kind_of([&] { (void)store.get("A"); }) == ErrorKind::integrity);
  store.remove({"A"});

  const fs::path key = home.path() / "mlp" / "secrets.key";
  fs::permissions(key, fs::perms::others_read, fs::perm_options::add);
  CHECK(kind_of([&] { (void)SecretStore(folder, {}).get("B"); }) == ErrorKind::denied);
  fs::rename(key, home.path() / "key");
  CHECK(kind_of([&] { SecretStore(folder, {}).set("C", "x"); }) == ErrorKind::integrity);
  CHECK(SecretStore(folder, "cat '" + (home.path() / "key").native() + "'").get("B") == "two");
  CHECK(kind_of([&] { (void)SecretStore(folder, "yes").get("B"); }) != ErrorKind::not_found);
}

TEST_CASE("every byte of every occurrence is masked", "[secret]") {
  const std::vector<std::string> values = {"secret", "secret-and-more", "abab", "abc",
                                           "two\nlines"};
  const MaskedValues masked(values);
  const auto check = [&](std::string_view text, std::string_view wanted) {
    CHECK(masked.mask(text) == wanted);
    for (std::size_t step = 1; step <= 7; ++step)
      CHECK(in_parts(masked, text, step) == wanted);
  };
  check("", "");
  check("nothing here", "nothing here");
  check("a secret.", "a ***.");
  check("secre", "secre");
  check("secsecret", "sec***");
  check("secretsecret", "***");
  check("secret-and-more", "***");
  check("secret-and-mor", "***-and-mor");
  check("xabababx", "x***x");
  check("abc", "abc"); // too short to be masked
  check("a two\nlines b two\n lines", "a *** b two\n lines");
  CHECK(MaskedValues(std::vector<std::string>{"abc", ""}).empty());
}

TEST_CASE("text is held back only while it may become a secret", "[secret]") {
  const MaskedValues masked(std::vector<std::string>{"secret"});
  Masker masker(masked);
  std::string out;
  masker.write("a sec", out);
  CHECK(out == "a ");
  masker.write("ond", out);
  CHECK(out == "a second");
  masker.write(" secret", out);
  CHECK(out == "a second ***");
  masker.write("secr", out);
  masker.finish(out);
  CHECK(out == "a second ***secr");
}

TEST_CASE("random splits of random text are masked alike", "[secret]") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const auto text_of = [&](std::size_t size) {
      std::string text;
      for (std::size_t i = 0; i < size; ++i)
        text += static_cast<char>('a' + random() % 2);
      return text;
    };
    const std::vector<std::string> values = {text_of(4 + random() % 6), text_of(4 + random() % 12)};
    const MaskedValues masked(values);
    const std::string text = text_of(200);
    std::string out;
    Masker masker(masked);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t step = random() % 20;
      masker.write(std::string_view(text).substr(at, step), out);
      at += step;
    }
    masker.finish(out);
    CHECK(out == masked.mask(text));
    CHECK_FALSE(masked.occurs_in(out));
  }
}
