// A version as a mount sees it, without a mount: names, bytes at any place, and what happens when
// the remote fails, comes back, or lies.
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/mount_view.hpp"
#include "tests/conformance/memory_storage.hpp"
#include "tests/conformance/storage_words.hpp"
#include "tests/unit/core/data/place.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

using namespace mlp;
using namespace mlp::data;
using namespace std::chrono_literals;
using test::kind_of;

namespace {

// A place that can go away, stall, and change bytes.
class Moody final : public Storage {
 public:
  std::atomic<bool> down{false}, stalls{false}, lies{false}, lies_once{false};
  std::atomic<int> reads{0}, stalled{0};
  test::MemoryStorage real;

  ~Moody() override { stalls = false; }
  std::string location() const override { return "moody:"; }
  std::vector<std::optional<std::uint64_t>> has(std::span<const std::string> names) override {
    check();
    return real.has(names);
  }
  std::size_t read(std::string_view name, std::uint64_t offset,
                   std::span<std::byte> into) override {
    if (stalls) ++stalled;
    while (stalls)
      std::this_thread::sleep_for(5ms);
    check();
    ++reads;
    const std::size_t n = real.read(name, offset, into);
    if ((lies || lies_once.exchange(false)) && n > 40) into[n / 2] ^= std::byte{1};
    return n;
  }
  std::unique_ptr<ObjectWriter> write(std::string_view name) override { return real.write(name); }
  ListPage list(std::string_view prefix, std::string_view after, std::size_t limit) override {
    check();
    return real.list(prefix, after, limit);
  }
  void remove(std::span<const std::string> names) override { real.remove(names); }
  std::optional<std::string> read_ref(std::string_view name) override {
    return real.read_ref(name);
  }
  SwapResult compare_and_swap(std::string_view name, const std::optional<std::string>& expected,
                              const std::optional<std::string>& desired) override {
    return real.compare_and_swap(name, expected, desired);
  }

 private:
  void check() const {
    if (down) throw Error(ErrorKind::unreachable, "the place is away");
  }
};

// A project that pushes to the place, and the folder of another that only reads from there.
struct World : test::Place {
  Moody place;

  Digest push() {
    Datasets datasets = open();
    const Digest version = datasets.add(name, false).version;
    RemoteStore remote(place, folder.path() / "index");
    static_cast<void>(datasets.push(name, remote, false, false));
    return version;
  }
  [[nodiscard]] OpenRemoteStore opener() {
    return [this] { return std::make_shared<RemoteStore>(place, folder.path() / "reader-index"); };
  }
};

struct Reader {
  ChunkCache cache;
  ChunkFetcher objects;
  MountView view;

  explicit Reader(World& world, std::uint64_t cache_bytes = 1u << 30, FetchOptions options = {})
      : cache(world.folder.path() / "cache", cache_bytes),
        objects(std::make_shared<ObjectStore>(world.folder.path() / "no-store"), &cache,
                world.opener(), options),
        view(objects, "data") {}

  [[nodiscard]] NodeAttributes node(std::string_view path) {
    NodeAttributes here = view.attributes(root_node);
    while (!path.empty()) {
      const std::size_t slash = path.find('/');
      const auto next = view.look_up(here.node == 0 ? root_node : here.node, path.substr(0, slash));
      REQUIRE(next);
      here = *next;
      path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    }
    return here;
  }
  [[nodiscard]] std::string read(MountedFile& file, std::uint64_t offset, std::uint64_t size) {
    std::string text;
    for (const auto& piece : file.read(offset, size))
      text += text_of(piece.bytes);
    return text;
  }
  [[nodiscard]] std::string read(std::string_view path, std::uint64_t offset = 0,
                                 std::uint64_t size = UINT64_MAX) {
    const auto file = view.open(node(path).node);
    return read(*file, offset, size);
  }
  // As test::tree() shows a folder.
  void walk(std::map<std::string, std::string>& all, NodeNumber directory = root_node,
            const std::string& prefix = {}) {
    const auto items = view.open_directory(directory);
    for (std::uint64_t i = 0;; ++i) {
      const auto item = items->at(i);
      if (!item) break;
      const std::string path = prefix + item->name;
      const auto found = view.look_up(directory, item->name);
      REQUIRE(found);
      REQUIRE(found->node == item->attributes.node);
      REQUIRE(found->type == item->attributes.type);
      switch (found->type) {
      case EntryType::directory:
        all[path] = "d";
        walk(all, found->node, path + "/");
        break;
      case EntryType::symlink:
        all[path] = "l:" + view.link_target(found->node);
        REQUIRE(found->size == all[path].size() - 2);
        break;
      default:
        all[path] = (found->type == EntryType::executable ? "x:" : "-:") +
                    read(*view.open(found->node), 0, UINT64_MAX);
        REQUIRE(found->size == all[path].size() - 2);
      }
    }
  }
};

void make_random_tree(const fs::path& root, std::mt19937& random, int depth) {
  fs::create_directories(root);
  const int entries = static_cast<int>(random() % 12);
  for (int i = 0; i < entries; ++i) {
    const fs::path path = root / fmt::format("{}{}", "aB._ \xc3\xa9"[random() % 5], i);
    switch (random() % 6) {
    case 0:
      if (depth < 4) make_random_tree(path, random, depth + 1);
      break;
    case 1:
      fs::create_symlink(fmt::format("../{}", random() % 100), path);
      break;
    case 2:
      test::write(path, "");
      break;
    case 3:
      test::write(path, test::noise_text(random() % 1'500'000, random()), 0755);
      break;
    default:
      test::write(path, std::string(random() % 5000, static_cast<char>('a' + i)));
    }
  }
}

} // namespace

TEST_CASE("a mounted version has the names, types and bytes of what was added") {
  std::mt19937 random(7);
  for (int round = 0; round < 4; ++round) {
    World world;
    make_random_tree(world.data(), random, 0);
    test::write(world.data() / "always", "here", 0755);
    for (int i = 0; i < (round == 0 ? 3000 : 0); ++i) // several nodes
      test::write(world.data() / fmt::format("many/{}", i), fmt::format("{}", i));
    const Digest version = world.push();
    Reader reader(world);
    reader.view.show(version, wall_now());
    std::map<std::string, std::string> seen;
    reader.walk(seen);
    REQUIRE(seen == test::tree(world.data()));
    REQUIRE_FALSE(reader.view.look_up(root_node, "alway"));
    REQUIRE_FALSE(reader.view.look_up(root_node, "alwayss"));
    REQUIRE_FALSE(reader.view.look_up(root_node, ""));
    REQUIRE_FALSE(reader.view.look_up(root_node, "."));
    REQUIRE(kind_of([&] { (void)reader.view.look_up(reader.node("always").node, "x"); }) ==
            ErrorKind::conflict);
    // A directory can be read on at any position.
    if (round == 0) {
      const auto items = reader.view.open_directory(reader.node("many").node);
      REQUIRE(items->at(2999));
      REQUIRE_FALSE(items->at(3000));
      REQUIRE(items->at(1)->name == "1");
      REQUIRE(items->at(1500)->name != items->at(1499)->name);
    }
  }
}

TEST_CASE("a file of several list levels reads the same at any place and in any order") {
  World world;
  ObjectStore store(world.project.objects());
  // Chunks of a few bytes, so that a small file has as many as one of gigabytes.
  std::mt19937 random(11);
  std::string content;
  ContentBuilder builder(store);
  for (int i = 0; i < 60'000; ++i) {
    const std::string chunk = test::noise_text(1 + random() % 40, random());
    builder.add({store.put(PackKind::data, bytes_of(chunk)), chunk.size()});
    content += chunk;
  }
  Entry root;
  root.type = EntryType::file;
  root.content = builder.finish();
  REQUIRE(root.content.level >= 2);
  const Digest version = store.put(PackKind::meta, encode_manifest(root));
  store.flush();
  RemoteStore remote(world.place, world.folder.path() / "index");
  static_cast<void>(push_objects(store, remote, version, {}));

  Reader reader(world);
  reader.view.show(version, wall_now());
  REQUIRE(reader.view.attributes(root_node).type == EntryType::directory);
  REQUIRE(reader.view.totals().files == 1);
  const auto file = reader.view.open(reader.node("data").node);
  for (int i = 0; i < 300; ++i) {
    const std::size_t offset = random() % (content.size() + 100);
    const std::size_t size = random() % 5000;
    const std::string wanted =
        offset >= content.size() ? std::string() : content.substr(offset, size);
    REQUIRE(reader.read(*file, offset, size) == wanted);
  }
  REQUIRE(reader.read(*file, 0, UINT64_MAX) == content);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 own(t);
      for (int i = 0; i < 200; ++i) {
        const std::size_t offset = own() % content.size();
        std::string text;
        for (const auto& piece : file->read(offset, 3000))
          text += text_of(piece.bytes);
        if (text != content.substr(offset, 3000)) ++wrong;
      }
    });
  for (auto& thread : threads)
    thread.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("reading on fetches ahead in few reads; reading here and there fetches only that") {
  World world;
  const std::string noise = test::noise_text(24u << 20, 3);
  test::write(world.data() / "big", noise);
  for (int i = 0; i < 600; ++i)
    test::write(world.data() / fmt::format("small/{:04}", i), test::noise_text(6000, 1000 + i));
  const Digest version = world.push();
  {
    Reader reader(world);
    reader.view.show(version, wall_now());
    const auto file = reader.view.open(reader.node("big").node);
    world.place.reads = 0;
    for (std::uint64_t offset = 0; offset < noise.size(); offset += 128 * 1024)
      REQUIRE(reader.read(*file, offset, 128 * 1024) == noise.substr(offset, 128 * 1024));
    CHECK(world.place.reads < 60); // of some 370 chunks
    world.place.reads = 0;
    for (int i = 0; i < 600; ++i)
      REQUIRE(reader.read(fmt::format("small/{:04}", i)) == test::noise_text(6000, 1000 + i));
    CHECK(world.place.reads < 30);
  }
  fs::remove_all(world.folder.path() / "cache");
  Reader reader(world, 0); // keeps nothing on disk
  reader.view.show(version, wall_now());
  const auto file = reader.view.open(reader.node("big").node);
  static_cast<void>(reader.read(*file, 20u << 20, 10));
  world.place.reads = 0;
  for (const std::uint64_t offset : {12u << 20, 3u << 20, 17u << 20, 8u << 20})
    REQUIRE(reader.read(*file, offset, 10) == noise.substr(offset, 10));
  CHECK(world.place.reads <= 8);
}

TEST_CASE("a damaged chunk is an error, never wrong bytes, and goes when the damage does") {
  World world;
  const std::string noise = test::noise_text(2u << 20, 9);
  test::write(world.data() / "big", noise);
  test::write(world.data() / "other", "fine");
  const Digest version = world.push();
  Reader reader(world);
  reader.view.show(version, wall_now());
  const auto file = reader.view.open(reader.node("big").node);
  world.place.lies = true;
  for (std::uint64_t offset = 0; offset < noise.size(); offset += 300'000) {
    try {
      const std::string text = reader.read(*file, offset, 1000);
      REQUIRE(text == noise.substr(offset, 1000));
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::integrity);
    }
  }
  REQUIRE(kind_of([&] { (void)reader.read(*file, 0, UINT64_MAX); }) == ErrorKind::integrity);
  world.place.lies = false;
  REQUIRE(reader.read(*file, 0, UINT64_MAX) == noise);
}

TEST_CASE("who waits for what another asked for does not share the damage that it met") {
  World world;
  const Bytes noise = test::noise(60'000, 5);
  ObjectStore store(world.project.objects());
  Entry root;
  root.type = EntryType::file;
  ContentBuilder builder(store);
  builder.add({store.put(PackKind::data, noise), noise.size()});
  root.content = builder.finish();
  const Digest version = store.put(PackKind::meta, encode_manifest(root));
  store.flush();
  RemoteStore remote(world.place, world.folder.path() / "index");
  static_cast<void>(push_objects(store, remote, version, {}));

  Reader reader(world);
  static_cast<void>(reader.objects.remote());
  world.place.lies_once = world.place.stalls = true;
  const auto get = [&] { return *reader.objects.get(sha256(noise)); };
  auto first = std::async(std::launch::async, get);
  while (world.place.stalled == 0)
    std::this_thread::sleep_for(1ms);
  auto second = std::async(std::launch::async, get);
  std::this_thread::sleep_for(100ms);
  world.place.stalls = false;
  REQUIRE(kind_of([&] { (void)first.get(); }) == ErrorKind::integrity);
  REQUIRE(second.get() == noise);
}

TEST_CASE("what was read is read again without the remote, and the rest when it is back") {
  World world;
  const std::string noise = test::noise_text(4u << 20, 21);
  test::write(world.data() / "seen", noise);
  test::write(world.data() / "unseen/x", noise.substr(1000));
  test::write(world.data() / "unseen.txt", "later");
  const Digest version = world.push();
  {
    Reader reader(world);
    reader.view.show(version, wall_now());
    REQUIRE(reader.read("seen") == noise);
  }
  world.place.down = true;
  Reader reader(world); // after a restart: manifest, nodes and chunks are in the cache
  reader.view.show(version, wall_now());
  REQUIRE(reader.read("seen") == noise);
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i)
    REQUIRE(kind_of([&] { (void)reader.read("unseen.txt"); }) == ErrorKind::unreachable);
  REQUIRE(std::chrono::steady_clock::now() - begun < 5s);
  world.place.down = false;
  const auto until = std::chrono::steady_clock::now() + 15s;
  std::string text;
  while (text.empty() && std::chrono::steady_clock::now() < until) {
    try {
      text = reader.read("unseen.txt");
    } catch (const Error&) {
      std::this_thread::sleep_for(50ms);
    }
  }
  REQUIRE(text == "later");
  REQUIRE(reader.read("unseen/x") == noise.substr(1000));
}

TEST_CASE("many reads that wait for a remote that cannot be opened share one attempt") {
  World world;
  std::atomic<int> attempts{0};
  ChunkFetcher objects(std::make_shared<ObjectStore>(world.folder.path() / "no-store"), nullptr,
                       [&]() -> std::shared_ptr<RemoteStore> {
                         ++attempts;
                         std::this_thread::sleep_for(300ms);
                         throw Error(ErrorKind::unreachable, "the place is away");
                       });
  std::atomic<int> failed{0};
  std::vector<std::thread> readers;
  for (std::uint64_t i = 0; i < 6; ++i)
    readers.emplace_back([&, i] {
      try {
        (void)objects.get(sha256(test::noise(10, i)));
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::unreachable) ++failed;
      }
    });
  for (auto& reader : readers)
    reader.join();
  REQUIRE(failed == 6);
  REQUIRE(attempts <= 2);
}

TEST_CASE("a read that waits for a remote that stalls ends when it is cancelled, or in time") {
  World world;
  test::write(world.data() / "a", test::noise_text(100'000, 1));
  test::write(world.data() / "b", test::noise_text(100'000, 2));
  const Digest version = world.push();
  Reader reader(world, 1u << 30, {.patience = 700ms});
  reader.view.show(version, wall_now());
  const auto a = reader.view.open(reader.node("a").node);
  const auto b = reader.view.open(reader.node("b").node);
  world.place.stalls = true;
  {
    const CancelScope scope([] { return true; });
    REQUIRE(kind_of([&] { (void)a->read(0, 10); }) == ErrorKind::interrupted);
  }
  REQUIRE(kind_of([&] { (void)b->read(0, 10); }) == ErrorKind::unreachable);
  world.place.stalls = false;
  std::this_thread::sleep_for(600ms);
  REQUIRE(reader.read(*b, 0, 10) == test::noise_text(10, 2));
}

TEST_CASE("another version shows in one step, and open files keep their bytes") {
  World world;
  test::write(world.data() / "file", "first");
  test::write(world.data() / "same/x", "same");
  const Digest first = world.push();
  Reader reader(world);
  reader.view.show(first, wall_now());
  const NodeAttributes old = reader.node("file");
  const NodeAttributes same = reader.node("same/x");
  const auto open = reader.view.open(old.node);
  test::write(world.data() / "file", "the second");
  test::write(world.data() / "new", "new");
  const Digest second = world.push();
  static_cast<void>(reader.objects.remote(true));
  reader.view.show(second, wall_now());
  REQUIRE(reader.view.version() == second);
  REQUIRE(reader.read("file") == "the second");
  REQUIRE(reader.read("new") == "new");
  REQUIRE(reader.read(*open, 0, 100) == "first");
  REQUIRE(reader.view.attributes(old.node).size == 5); // the kernel still holds it
  REQUIRE(reader.read("same/x") == "same");
  // What the kernel lets go of an earlier version is let go here.
  const std::size_t before = reader.view.remembered_leaves();
  reader.view.forget(old.node, 100);
  reader.view.forget(same.node, 100);
  REQUIRE(reader.view.remembered_leaves() < before);
  REQUIRE(kind_of([&] { (void)reader.view.attributes(old.node); }) == ErrorKind::conflict);
  REQUIRE(reader.read(*open, 0, 100) == "first");
}

TEST_CASE("a number that was never given is an error") {
  World world;
  test::write(world.data() / "file", "first");
  const Digest version = world.push();
  Reader reader(world);
  reader.view.show(version, wall_now());
  const NodeNumber real = reader.node("file").node;
  for (const NodeNumber node :
       {NodeNumber{0}, NodeNumber{2}, real + 1, real + 77, real << 1, ~NodeNumber{0}}) {
    REQUIRE(kind_of([&] { (void)reader.view.attributes(node); }) == ErrorKind::conflict);
    REQUIRE(kind_of([&] { (void)reader.view.open(node); }) == ErrorKind::conflict);
    reader.view.forget(node, 1);
  }
  REQUIRE(kind_of([&] { (void)reader.view.open(root_node); }) == ErrorKind::conflict);
}

TEST_CASE("a directory that claims what it does not hold is refused") {
  World world;
  ObjectStore store(world.project.objects());
  TreeNode leaf;
  Entry file;
  file.name = "f";
  leaf.entries.push_back(file);
  TreeNode inner;
  inner.level = 1;
  const Digest good = store.put(PackKind::meta, encode_tree(leaf));
  const auto show = [&](const TreeNode& node, std::uint64_t files) {
    Entry root;
    root.type = EntryType::directory;
    root.tree = store.put(PackKind::meta, encode_tree(node));
    root.below.files = files;
    const Digest version = store.put(PackKind::meta, encode_manifest(root));
    store.flush();
    auto local = std::make_shared<ObjectStore>(world.project.objects());
    ChunkFetcher objects(local, nullptr, {});
    MountView view(objects, "data");
    view.show(version, wall_now());
    (void)view.look_up(root_node, "f");
    const auto items = view.open_directory(root_node);
    for (std::uint64_t i = 0; items->at(i); ++i) {
    }
  };
  REQUIRE_NOTHROW(show(leaf, 1));
  REQUIRE(kind_of([&] { show(leaf, 2); }) == ErrorKind::integrity);
  inner.children = {{"f", good, {1, 0, 0}}};
  REQUIRE_NOTHROW(show(inner, 1));
  REQUIRE(kind_of([&] { show(inner, 5); }) == ErrorKind::integrity);
  inner.children = {{"e", good, {1, 0, 0}},
                    {"f", good, {1, 0, 0}}}; // the first begins with another
  REQUIRE(kind_of([&] { show(inner, 2); }) == ErrorKind::integrity);
  inner.level = 2; // its children are leaves
  inner.children = {{"f", good, {1, 0, 0}}};
  REQUIRE(kind_of([&] { show(inner, 1); }) == ErrorKind::integrity);
}

TEST_CASE("what is damaged in the local store is read from the remote, and told of once") {
  World world;
  const std::string noise = test::noise_text(300'000, 33);
  test::write(world.data() / "file", noise);
  const Digest version = world.push();
  for (const auto& pack : fs::directory_iterator(world.project.objects() / "packs")) {
    std::string bytes = read_file(pack.path());
    if (bytes.size() < 250'000) continue; // the nodes
    for (std::size_t at = 1000; at < bytes.size() - 20'000; at += 10'000)
      bytes[at] = static_cast<char>(bytes[at] ^ 1);
    fs::permissions(pack.path(), fs::perms::owner_write, fs::perm_options::add);
    write_file_atomic(pack.path(), bytes);
  }
  const auto local = std::make_shared<ObjectStore>(world.project.objects());
  struct Counts final : LogSink {
    std::atomic<int> warnings{0};
    void log(LogLevel level, std::string_view) override {
      if (level == LogLevel::warning) ++warnings;
    }
  } counts;
  set_log_sink(&counts);
  std::string text;
  {
    ChunkCache cache(world.folder.path() / "cache", 1u << 30);
    ChunkFetcher objects(local, &cache, world.opener(), {.memory = 1});
    MountView view(objects, "data");
    view.show(version, wall_now());
    for (int i = 0; i < 3; ++i) {
      text.clear();
      const auto file = view.open(view.look_up(root_node, "file")->node);
      for (const auto& piece : file->read(0, UINT64_MAX))
        text += text_of(piece.bytes);
    }
  }
  set_log_sink(nullptr);
  REQUIRE(text == noise);
  REQUIRE(counts.warnings > 0);
  REQUIRE(counts.warnings < 15); // once a chunk
  ChunkFetcher alone(local, nullptr, {});
  MountView view(alone, "data");
  view.show(version, wall_now());
  const auto file = view.open(view.look_up(root_node, "file")->node);
  REQUIRE(kind_of([&] { (void)file->read(0, UINT64_MAX); }) == ErrorKind::integrity);
}
