// The rules of the formats: chunks, codec, packs, manifests.
#include "core/base/error.hpp"
#include "core/data/chunker.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/pack_reader.hpp"
#include "tests/unit/core/data/testing.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <map>
#include <set>

using namespace mlp;
using namespace mlp::data;

namespace {

std::vector<Digest> chunk_ids(ByteSpan data) {
  std::vector<Digest> ids;
  while (!data.empty()) {
    const std::size_t cut = cut_point(data);
    ids.push_back(sha256(data.first(cut)));
    data = data.subspan(cut);
  }
  return ids;
}

// A sink and source in memory.
class MemoryObjects final : public ObjectSink, public ObjectSource {
 public:
  Digest put(PackKind, ByteSpan plain) override {
    const Digest id = sha256(plain);
    objects.emplace(id, Bytes(plain.begin(), plain.end()));
    return id;
  }
  void read(const Digest& id, Bytes& plain) override {
    const auto it = objects.find(id);
    if (it == objects.end()) throw Error(ErrorKind::not_found, "no object");
    plain = it->second;
  }
  std::map<Digest, Bytes> objects;
};

Entry file_entry(std::string name, std::uint64_t seed) {
  Entry entry{.type = EntryType::file, .name = std::move(name)};
  entry.content = {100, 0, {{sha256(std::to_string(seed)), 100}}};
  return entry;
}

Bytes make_pack(std::vector<PackEntry>& entries, Digest& id) {
  Bytes pack = encode_pack_header(PackKind::data);
  for (std::uint64_t i = 0; i < 5; ++i) {
    const Bytes plain = i % 2 == 0 ? test::noise(20000 + i, i) : Bytes(30000 + i, std::byte{7});
    PackEntry entry{.id = sha256(plain), .offset = pack.size()};
    Bytes room(stored_bound(plain.size()));
    const auto [codec, stored] = compress(plain, 1, room);
    entry.codec = codec;
    entry.stored_size = static_cast<std::uint32_t>(stored.size());
    entry.plain_size = static_cast<std::uint32_t>(plain.size());
    entry.crc = crc32(stored);
    append_entry_header(entry, pack);
    pack.insert(pack.end(), stored.begin(), stored.end());
    entries.push_back(entry);
  }
  const PackEnd end = encode_pack_end(PackKind::data, entries);
  pack.insert(pack.end(), end.bytes.begin(), end.bytes.end());
  id = end.id;
  return pack;
}

std::vector<PackDamage> check(const Bytes& pack, const Digest& id) {
  return check_pack(
      [&](std::uint64_t offset, std::span<std::byte> into) {
        if (offset >= pack.size()) return std::size_t{0};
        const std::size_t n = std::min<std::size_t>(into.size(), pack.size() - offset);
        std::memcpy(into.data(), pack.data() + offset, n);
        return n;
      },
      pack.size(), id, [](std::uint64_t) {});
}

} // namespace

TEST_CASE("chunks keep to their limits and come near their target") {
  const Bytes data = test::noise(16u << 20, 1);
  ByteSpan rest(data);
  std::size_t count = 0;
  while (!rest.empty()) {
    const std::size_t cut = cut_point(rest);
    REQUIRE(cut > 0);
    REQUIRE(cut <= max_chunk);
    if (cut < rest.size()) REQUIRE(cut > min_chunk);
    rest = rest.subspan(cut);
    ++count;
  }
  const double mean = static_cast<double>(data.size()) / static_cast<double>(count);
  CHECK(mean > 50e3);
  CHECK(mean < 90e3);
}

TEST_CASE("the cut points of a known input are those of the format") {
  // Frozen: other numbers mean that nothing deduplicates against what older versions have stored.
  ByteSpan rest;
  const Bytes data = test::noise(1u << 20, 42);
  rest = data;
  std::vector<std::size_t> sizes;
  while (!rest.empty() && sizes.size() < 6) {
    sizes.push_back(cut_point(rest));
    rest = rest.subspan(sizes.back());
  }
  CHECK(sizes == std::vector<std::size_t>{84821, 84862, 25438, 78686, 66829, 21864});
  CHECK(cut_point(Bytes(1u << 20)) == max_chunk);
  CHECK(cut_point(Bytes(100)) == 100);
  CHECK(cut_point({}) == 0);
}

TEST_CASE("an edit changes only the chunks around it") {
  Bytes data = test::noise(8u << 20, 3);
  const auto before = chunk_ids(data);
  const std::set<Digest> known(before.begin(), before.end());
  data.insert(data.begin() + (4 << 20), 1000, std::byte{5});
  std::size_t changed = 0;
  for (const Digest& id : chunk_ids(data))
    changed += known.contains(id) ? 0 : 1;
  CHECK(changed >= 1);
  CHECK(changed <= 4);
}

TEST_CASE("compressible bytes are compressed, noise is not tried, both come back") {
  for (const std::size_t size : {1u, 100u, 8191u, 65536u, 262144u}) {
    for (const bool random : {true, false}) {
      const Bytes plain = random ? test::noise(size, 9) : Bytes(size, std::byte{'a'});
      Bytes room(stored_bound(size)), back(size + 1);
      const auto [codec, stored] = compress(plain, 3, room);
      CHECK((codec == Codec::zstd) == (!random && size >= 100));
      const ByteSpan found = decompress(codec, stored, size, back);
      CHECK(std::equal(found.begin(), found.end(), plain.begin(), plain.end()));
      CHECK_THROWS_AS(decompress(codec, stored, size + 1, back), Error);
    }
  }
}

TEST_CASE("a frame that claims to be huge is refused before memory is taken") {
  const Bytes zeros(100000);
  Bytes room(stored_bound(zeros.size())), plain(10);
  const StoredForm form = compress(zeros, 3, room);
  CHECK(form.codec == Codec::zstd);
  CHECK_THROWS_AS(decompress(Codec::zstd, form.bytes, 10, plain), Error);
  CHECK_THROWS_AS(decompress(Codec::zstd, form.bytes, std::size_t{1} << 40, plain), Error);
  CHECK_THROWS_AS(decompress(Codec::zstd, form.bytes, zeros.size(), plain), Error);
}

TEST_CASE("numbers have one encoding only") {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128}, std::uint64_t{300}, UINT64_MAX}) {
    Bytes bytes;
    ByteWriter(bytes).varint(value);
    ByteReader in(bytes, "test");
    CHECK(in.varint() == value);
    CHECK_NOTHROW(in.expect_end());
  }
  // Cut short, not the shortest form, more than 64 bits (twice).
  for (const std::string& bad :
       {std::string("\x80"), std::string("\x80\x00", 2), std::string(9, '\xff') + "\x02",
        std::string(10, '\xff') + "\x01"}) {
    ByteReader in(bytes_of(bad), "test");
    CHECK_THROWS_AS(in.varint(), Error);
  }
}

TEST_CASE("a sound pack has no damage, and every flipped bit of it is found") {
  std::vector<PackEntry> entries;
  Digest id;
  Bytes pack = make_pack(entries, id);
  CHECK(check(pack, id).empty());
  CHECK_FALSE(check(pack, sha256("another")).empty());
  // All bits of header, first entry header, index and footer, and some of the data.
  std::vector<std::size_t> places;
  const std::size_t index = pack.size() - pack_footer_size - 5 * index_entry_size;
  for (std::size_t i = 0; i < pack_header_size + entry_header_size + 8; ++i)
    places.push_back(i);
  for (std::size_t i = 200; i < index; i += 1999)
    places.push_back(i);
  for (std::size_t i = index; i < pack.size(); i += 3)
    places.push_back(i);
  for (const std::size_t place : places) {
    for (const unsigned bit : {0u, 5u, 7u}) {
      pack[place] ^= static_cast<std::byte>(1u << bit);
      if (check(pack, id).empty()) FAIL(fmt::format("byte {} bit {}", place, bit));
      pack[place] ^= static_cast<std::byte>(1u << bit);
    }
  }
  CHECK(check(pack, id).empty());
}

TEST_CASE("damage of one object is told by its id, and the others are still checked") {
  std::vector<PackEntry> entries;
  Digest id;
  Bytes pack = make_pack(entries, id);
  for (const std::size_t i : {1u, 3u})
    pack[entries[i].offset + entry_header_size + 3] ^= std::byte{1};
  std::set<Digest> found;
  for (const auto& damage : check(pack, id)) {
    REQUIRE(damage.object);
    found.insert(*damage.object);
  }
  CHECK(found == std::set<Digest>{entries[1].id, entries[3].id});
}

TEST_CASE("a pack cut short anywhere is damaged") {
  std::vector<PackEntry> entries;
  Digest id;
  const Bytes pack = make_pack(entries, id);
  for (std::size_t size = 0; size < pack.size(); size += 977) {
    const Bytes part(pack.begin(), pack.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(check(part, id).empty());
  }
}

TEST_CASE("a pack of a newer format is refused as such") {
  Bytes header = encode_pack_header(PackKind::meta);
  CHECK(parse_pack_header(header) == PackKind::meta);
  header[8] = std::byte{2};
  try {
    (void)parse_pack_header(header);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::failed);
    CHECK(error.message().find("newer") != std::string::npos);
  }
}

TEST_CASE("manifests come back as they were, and only in one encoding") {
  Entry root{.type = EntryType::directory, .tree = sha256("t"), .below = {3, 1, 500}};
  const Bytes bytes = encode_manifest(root);
  CHECK(decode_manifest(bytes) == root);
  TreeNode node;
  node.entries = {file_entry("a", 1), file_entry("b", 2)};
  node.entries[1].type = EntryType::executable;
  node.entries.push_back({.type = EntryType::symlink, .name = "c", .target = "../x"});
  Entry directory = root;
  directory.name = "d";
  node.entries.push_back(directory);
  const Bytes tree = encode_tree(node);
  CHECK(decode_tree(tree).entries == node.entries);
  for (std::size_t size = 0; size < tree.size(); ++size)
    CHECK_THROWS_AS(decode_tree(ByteSpan(tree).first(size)), Error);
  Bytes longer = tree;
  longer.push_back(std::byte{0});
  CHECK_THROWS_AS(decode_tree(longer), Error);
}

TEST_CASE("hostile nodes are refused: names, order, sizes, counts") {
  const auto refused = [](TreeNode node) {
    CHECK_THROWS_AS(decode_tree(encode_tree(node)), Error);
  };
  for (const char* name : {"..", ".", "a/b", "/etc"}) {
    TreeNode escaping;
    escaping.entries = {file_entry(name, 1)};
    INFO(name);
    refused(escaping);
  }
  TreeNode node;
  node.entries = {file_entry(std::string("a\0b", 3), 1)};
  refused(node);
  node.entries = {file_entry(std::string(256, 'a'), 1)};
  refused(node);
  node.entries = {file_entry("b", 1), file_entry("a", 1)};
  refused(node);
  node.entries = {file_entry("a", 1), file_entry("a", 1)};
  refused(node);
  node.entries = {file_entry("a", 1)};
  node.entries[0].content.size = 99;
  refused(node);
  node.entries = {file_entry("a", 1)};
  node.entries[0].content.refs[0].size = node.entries[0].content.size = max_chunk + 1;
  refused(node);
  node.entries = {{.type = EntryType::symlink, .name = "a", .target = ""}};
  refused(node);
  Bytes bytes;
  ByteWriter out(bytes);
  out.text("mlpt");
  out.u8(1);
  out.u8(0);
  out.varint(1u << 30); // a count that nothing follows
  CHECK_THROWS_AS(decode_tree(bytes), Error);
}

TEST_CASE("a large directory is cut into nodes, and an edit of it changes few") {
  MemoryObjects objects;
  const auto build = [&](int skip) {
    TreeBuilder builder(objects);
    for (int i = 0; i < 20000; ++i) {
      if (i != skip) builder.add(file_entry(fmt::format("file-{:06}", i), 1));
    }
    return builder.finish();
  };
  const Entry all = build(-1);
  CHECK(all.below == Totals{20000, 0, 2000000});
  const std::size_t nodes = objects.objects.size();
  CHECK(nodes > 20);
  const Entry less = build(9999);
  CHECK(less.tree != all.tree);
  CHECK(objects.objects.size() - nodes <= 4);
  DirectoryReader reader(objects, all);
  int count = 0;
  while (const auto entry = reader.next())
    CHECK(entry->name == fmt::format("file-{:06}", count++));
  CHECK(count == 20000);
  CHECK(build(-1) == all);
}

TEST_CASE("the list of a long file is cut into nodes and read back in order") {
  MemoryObjects objects;
  for (const std::uint64_t count : {0u, 1u, 64u, 65u, 5000u, 100000u}) {
    ContentBuilder builder(objects);
    for (std::uint64_t i = 0; i < count; ++i)
      builder.add({sha256(std::to_string(i)), i % 1000 + 1});
    const Content content = builder.finish();
    CHECK(content.refs.size() <= max_inline_refs);
    CHECK((content.level == 0) == (count <= 64));
    ContentReader reader(objects, content);
    std::uint64_t seen = 0, bytes = 0;
    while (const auto ref = reader.next()) {
      if (ref->id != sha256(std::to_string(seen))) FAIL("another order");
      ++seen;
      bytes += ref->size;
    }
    CHECK(seen == count);
    CHECK(bytes == content.size);
  }
}

TEST_CASE("a list node is encoded as the format says, and no other way") {
  // Frozen: docs/formats.md, "List node".
  Digest first, second;
  for (std::size_t i = 0; i < first.bytes.size(); ++i) {
    first.bytes[i] = static_cast<std::uint8_t>(i);
    second.bytes[i] = static_cast<std::uint8_t>(0xff - i);
  }
  const ListNode node{1, {{first, 1}, {second, 65537}}};
  std::string frozen("mlpl\x01\x01\x02", 7);
  for (unsigned i = 0; i < 32; ++i)
    frozen += static_cast<char>(i);
  frozen += "\x01";
  for (unsigned i = 0; i < 32; ++i)
    frozen += static_cast<char>(0xff - i);
  frozen += "\x81\x80\x04";
  const Bytes encoded = encode_list(node);
  CHECK(std::string(text_of(encoded)) == frozen);
  const ListNode back = decode_list(bytes_of(frozen));
  CHECK(back.level == 1);
  CHECK(back.refs == node.refs);
  for (std::size_t size = 0; size < frozen.size(); ++size)
    CHECK_THROWS_AS(decode_list(bytes_of(frozen).first(size)), Error);
  CHECK_THROWS_AS(decode_list(bytes_of(frozen + '\0')), Error);
  // Levels from 1 to 8; nodes of nodes are larger than a chunk may be.
  for (const int level : {0, 9}) {
    std::string bad = frozen;
    bad[5] = static_cast<char>(level);
    CHECK_THROWS_AS(decode_list(bytes_of(bad)), Error);
  }
  const ListNode large{1, {{first, max_chunk + 1}}};
  CHECK_THROWS_AS(decode_list(encode_list(large)), Error);
  CHECK_NOTHROW(decode_list(encode_list({2, large.refs})));
}

TEST_CASE("nodes and manifests of a newer format are refused as such") {
  const auto newer = [](Bytes bytes, auto decode) {
    CHECK_NOTHROW(decode(ByteSpan(bytes)));
    bytes[4] = std::byte{2};
    try {
      decode(ByteSpan(bytes));
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::failed);
      CHECK(error.message().find("newer") != std::string::npos);
    }
    bytes[4] = std::byte{0};
    CHECK_THROWS_AS(decode(ByteSpan(bytes)), Error);
  };
  newer(encode_list({1, {{sha256("a"), 5}}}), [](ByteSpan b) { (void)decode_list(b); });
  TreeNode node;
  node.entries = {file_entry("a", 1)};
  newer(encode_tree(node), [](ByteSpan b) { (void)decode_tree(b); });
  newer(encode_manifest({.type = EntryType::directory, .tree = sha256("t")}),
        [](ByteSpan b) { (void)decode_manifest(b); });
}

TEST_CASE("a file of many chunks is the same version as ever") {
  // Frozen: other digests mean that files of over 64 chunks, which have list nodes, are other
  // versions for this mlp than for those before it.
  MemoryObjects objects;
  const Bytes data = test::noise(24u << 20, 7);
  ContentBuilder content(objects);
  std::size_t chunks = 0;
  for (ByteSpan rest(data); !rest.empty(); ++chunks) {
    const std::size_t cut = cut_point(rest);
    content.add({sha256(rest.first(cut)), cut});
    rest = rest.subspan(cut);
  }
  CHECK(chunks == 328);
  Entry file{.type = EntryType::file, .name = "large.bin", .content = content.finish()};
  CHECK(file.content.level == 1);
  TreeBuilder tree(objects);
  tree.add(file);
  const Entry root = tree.finish();
  CHECK(sha256(encode_manifest(root)).hex() ==
        "c901317a6fde3addebcc9a5c8e5fdc27c3466f695675cdad5b30a9a80ce54fdc");
}

TEST_CASE("long lists are cut into nodes where they always were") {
  // Frozen, as above, with two levels of nodes: cut by the ids, and after 4096 refs without such an
  // id.
  MemoryObjects objects;
  ContentBuilder mixed(objects), even(objects);
  for (std::uint64_t i = 0; i < 100000; ++i)
    mixed.add({sha256(std::to_string(i)), i % 1000 + 1});
  for (std::uint64_t i = 0; i < 10000; ++i)
    even.add({sha256("the same"), 7});
  const Content cut_by_ids = mixed.finish(), cut_by_count = even.finish();
  CHECK(cut_by_ids.level == 2);
  CHECK(cut_by_count.level == 1);
  CHECK(cut_by_count.refs.size() == 3);
  CHECK(cut_by_count.refs[0].size == std::uint64_t{4096} * 7);
  const auto digest = [](const Content& content) {
    Bytes bytes;
    ByteWriter out(bytes);
    encode_content(content, out);
    return sha256(bytes).hex();
  };
  CHECK(digest(cut_by_ids) == "ed77494afbb39a69f6c52ca1fb4067d3f08006c3394dc069694aa4740dbb45be");
  CHECK(digest(cut_by_count) == "4a14f9d95968566291524e2597cda0b741ceaa1cc080ad6043eeddc29e3a8a2e");
}

TEST_CASE("a tree that claims other totals than it holds is refused") {
  MemoryObjects objects;
  TreeBuilder builder(objects);
  builder.add(file_entry("a", 1));
  Entry root = builder.finish();
  for (const Totals wrong : {Totals{2, 0, 100}, Totals{1, 1, 100}, Totals{1, 0, 99}, Totals{}}) {
    Entry lying = root;
    lying.below = wrong;
    CHECK_THROWS_AS(for_each_entry(objects, lying, [](auto&, auto&) { return true; }), Error);
  }
}

TEST_CASE("a bomb of shared directories ends at its totals, not after them") {
  // Each level holds the one below twice: 2^40 files in 41 nodes.
  MemoryObjects objects;
  Entry below;
  {
    TreeBuilder builder(objects);
    builder.add(file_entry("f", 1));
    below = builder.finish();
  }
  for (int level = 0; level < 40; ++level) {
    TreeBuilder builder(objects);
    for (const char* name : {"a", "b"}) {
      below.name = name;
      builder.add(below);
    }
    below = builder.finish();
  }
  CHECK(below.below.files == (std::uint64_t{1} << 40));
  // Whoever restores it sees from the totals what it would take. One that hides it is refused.
  Entry lying = below;
  lying.below = {1, 80, 100};
  CHECK_THROWS_AS(for_each_entry(objects, lying, [](auto&, auto&) { return true; }), Error);
}

TEST_CASE("directories nested too deeply are refused") {
  MemoryObjects objects;
  Entry below;
  {
    TreeBuilder builder(objects);
    below = builder.finish();
  }
  for (std::size_t level = 0; level < max_directory_depth + 1; ++level) {
    TreeBuilder builder(objects);
    below.name = "d";
    builder.add(below);
    below = builder.finish();
  }
  CHECK_THROWS_AS(for_each_entry(objects, below, [](auto&, auto&) { return true; }), Error);
}
