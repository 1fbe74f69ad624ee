// Whole operations on real folders: add, status, push, pull, verify.
#include "backends/storage/file/file_storage.hpp"
#include "core/base/error.hpp"
#include "core/data/dataset.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/verify.hpp"
#include "tests/conformance/memory_storage.hpp"
#include "tests/conformance/storage_words.hpp"
#include "tests/unit/core/data/place.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

using namespace mlp;
using namespace mlp::data;
using test::kind_of;
using test::Place;

namespace {

void make_tree(const fs::path& root) {
  test::write(root / "a.txt", "hello");
  test::write(root / "run.sh", "#!/bin/sh\n", 0755);
  test::write(root / "empty", "");
  fs::create_directories(root / "empty folder");
  test::write(root / "sub/deep/noise.bin", test::noise_text(3u << 20, 5));
  test::write(root / "sub/line\nbreak", "odd");
  test::write(root / "sub/\xff\xfe not utf-8", "odd");
  test::write(root / "sub.txt", "sorts before sub/ but after sub");
  fs::create_symlink("../a.txt", root / "sub/link");
  fs::create_symlink("/nowhere/at/all", root / "dangling");
  for (int i = 0; i < 200; ++i)
    test::write(root / fmt::format("many/{}", i), fmt::format("file {}", i));
}

// Past the tick of the file system's clock, so that the stat cache may trust what it saw.
void settle() {
  ::usleep(250'000);
}

} // namespace

TEST_CASE("what was added is restored bit for bit, with modes and links") {
  Place place;
  make_tree(place.data());
  const auto before = test::tree(place.data());
  Digest version;
  {
    Datasets datasets = place.open();
    const AddResult added = datasets.add(place.name, false);
    version = added.version;
    CHECK(added.changed);
    CHECK(added.totals.files == 209);
    CHECK(added.scanned.read_files == 207);
    CHECK(datasets.status(place.name).clean());
  }
  fs::remove_all(place.data());
  Datasets datasets = place.open();
  CHECK(datasets.status(place.name).missing);
  const PullResult pulled = datasets.pull(place.name, nullptr, false, false);
  CHECK(pulled.version == version);
  CHECK(test::tree(place.data()) == before);
  CHECK(datasets.status(place.name).clean());
  // The same files in another place are the same version.
  Place other;
  make_tree(other.data());
  CHECK(other.open().add(other.name, false).version == version);
}

TEST_CASE("a second add reads nothing, and one after an edit reads what was edited") {
  Place place;
  make_tree(place.data());
  settle();
  const Digest first = place.open().add(place.name, false).version;
  const AddResult second = place.open().add(place.name, false);
  CHECK(second.version == first);
  CHECK_FALSE(second.changed);
  CHECK(second.scanned.read_files == 0);
  CHECK(second.stored.new_objects == 0);
  test::write(place.data() / "many/7", "FILE 7"); // the same size
  const AddResult third = place.open().add(place.name, false);
  CHECK(third.changed);
  CHECK(third.scanned.read_files == 1);
  fs::remove(place.data() / "a.txt");
  CHECK(place.open().add(place.name, false).totals.files == 208);
}

TEST_CASE("an edit in the same tick of the clock is not missed") {
  Place place;
  test::write(place.data() / "f", "one");
  const Digest first = place.open().add(place.name, false).version;
  // Same size, and whatever time the file system says.
  test::write(place.data() / "f", "two");
  CHECK(place.open().add(place.name, false).version != first);
}

TEST_CASE("a status tells what was added, removed and modified, and reads no more than needed") {
  Place place;
  make_tree(place.data());
  (void)place.open().add(place.name, false);
  test::write(place.data() / "a.txt", "changed");
  fs::remove(place.data() / "sub/link");
  test::write(place.data() / "new/file", "new");
  fs::permissions(place.data() / "run.sh", fs::perms::owner_read | fs::perms::owner_write);
  const StatusResult status = place.open().status(place.name);
  std::vector<std::string> seen;
  for (const auto& change : status.changes)
    seen.push_back(fmt::format("{} {}", static_cast<int>(change.kind), change.path));
  CHECK(seen ==
        std::vector<std::string>{"2 a.txt", "0 new/", "0 new/file", "2 run.sh", "1 sub/link"});
}

TEST_CASE("a single file is a dataset too") {
  Place place;
  place.name.path = "one.csv";
  test::write(place.project.root / "one.csv", "a,b\n1,2\n");
  (void)place.open().add(place.name, false);
  CHECK(place.open().status(place.name).clean());
  test::write(place.project.root / "one.csv", "a,b\n1,3\n");
  CHECK(place.open().status(place.name).modified == 1);
  CHECK(kind_of([&] { (void)place.open().pull(place.name, nullptr, false, false); }) ==
        ErrorKind::conflict);
  (void)place.open().pull(place.name, nullptr, true, false);
  CHECK(read_file(place.project.root / "one.csv") == "a,b\n1,2\n");
  fs::remove(place.project.root / "one.csv");
  (void)place.open().pull(place.name, nullptr, false, false);
  CHECK(place.open().status(place.name).clean());
}

TEST_CASE("a pull changes nothing if local changes would be lost, and all with force") {
  Place place;
  make_tree(place.data());
  (void)place.open().add(place.name, false);
  const auto version = test::tree(place.data());
  test::write(place.data() / "a.txt", "mine");
  fs::remove(place.data() / "many/3");
  test::write(place.data() / "untracked", "mine too");
  const auto mine = test::tree(place.data());
  CHECK(kind_of([&] { (void)place.open().pull(place.name, nullptr, false, false); }) ==
        ErrorKind::conflict);
  CHECK(test::tree(place.data()) == mine);
  const PullResult forced = place.open().pull(place.name, nullptr, true, false);
  CHECK(forced.checkout.written_files == 2);
  CHECK(forced.checkout.untracked_files == 1);
  auto now = test::tree(place.data());
  CHECK(now.at("untracked") == "-:mine too");
  now.erase("untracked");
  CHECK(now == version);
}

TEST_CASE("going to another version removes what only the old one had") {
  Place place;
  make_tree(place.data());
  (void)place.open().add(place.name, false);
  const auto old_tree = test::tree(place.data());
  const config::LockFile old_lock = config::load_lock_file(place.project);
  fs::remove_all(place.data() / "many");
  test::write(place.data() / "many", "a file where a folder was");
  fs::remove(place.data() / "a.txt");
  fs::create_directories(place.data() / "a.txt");
  test::write(place.data() / "a.txt/inner", "a folder where a file was");
  (void)place.open().add(place.name, false);
  const auto new_tree = test::tree(place.data());
  const config::LockFile new_lock = config::load_lock_file(place.project);
  for (const auto& version : {std::pair(old_lock, old_tree), std::pair(new_lock, new_tree),
                              std::pair(old_lock, old_tree)}) {
    const auto& tree = version.second;
    config::update_lock(place.project, [&](config::LockFile& held) { held = version.first; });
    (void)place.open().pull(place.name, nullptr, false, false);
    CHECK(test::tree(place.data()) == tree);
    CHECK(place.open().status(place.name).clean());
  }
}

TEST_CASE("a push sends what is missing, a pull elsewhere gives the same files") {
  test::MemoryStorage storage;
  Place place;
  make_tree(place.data());
  (void)place.open().add(place.name, false);
  {
    Datasets datasets = place.open();
    RemoteStore remote(storage, place.project.cache() / "r");
    CHECK(datasets.push(place.name, remote, true, false).sent.objects > 0);
    CHECK(storage.bytes_appended == 0);
    CHECK(datasets.push(place.name, remote, false, false).sent.objects > 0);
    CHECK(datasets.push(place.name, remote, false, false).sent.objects == 0);
  }
  const std::uint64_t sent = storage.bytes_appended;
  CHECK(sent > 3u << 20);
  test::write(place.data() / "many/0", "edited");
  (void)place.open().add(place.name, false);
  {
    Datasets datasets = place.open();
    RemoteStore remote(storage, place.project.cache() / "r");
    (void)datasets.push(place.name, remote, false, false);
    CHECK(storage.bytes_appended - sent < 64 * 1024);
  }
  Place other; // no mlp.lock: the latest
  Datasets datasets = other.open();
  RemoteStore remote(storage, other.project.cache() / "r");
  const PullResult pulled = datasets.pull(other.name, &remote, false, false);
  CHECK(pulled.pinned);
  CHECK(test::tree(other.data()) == test::tree(place.data()));
  CHECK(config::load_lock_file(other.project) == config::load_lock_file(place.project));
  const std::uint64_t read = storage.bytes_read;
  CHECK(datasets.pull(other.name, &remote, false, false).fetched.bytes == 0);
  CHECK(storage.bytes_read == read);
}

TEST_CASE("a push sends a pack again whose connection was lost, and not for ever") {
  for (const int losses : {3, 1000}) {
    test::MemoryStorage storage;
    Place place;
    test::write(place.data() / "a", test::noise_text(8u << 20, 7));
    Datasets datasets = place.open();
    (void)datasets.add(place.name, false);
    storage.losses = losses;
    RemoteStore remote(storage, place.project.cache() / "r");
    if (losses > 3) {
      CHECK(kind_of([&] { (void)datasets.push(place.name, remote, false, false); }) ==
            ErrorKind::unreachable);
      CHECK(storage.losses > 900);
      continue;
    }
    (void)datasets.push(place.name, remote, false, false);
    CHECK(storage.losses <= 0);
    RemoteStore again(storage, place.project.cache() / "again");
    CHECK(datasets.push(place.name, again, false, true).sent.bytes == 0);
  }
}

TEST_CASE("an interrupted push publishes nothing and does not send again what it sent") {
  test::MemoryStorage storage;
  Place place;
  for (std::uint64_t i = 0; i < 10; ++i)
    test::write(place.data() / fmt::format("{}", i), test::noise_text(16u << 20, i + 100));
  (void)place.open().add(place.name, false);
  storage.fail_after = 150u << 20; // of 160, in packs of 64, 64 and 32 MiB
  {
    Datasets datasets = place.open();
    RemoteStore remote(storage, place.project.cache() / "r");
    CHECK(kind_of([&] { (void)datasets.push(place.name, remote, false, false); }) ==
          ErrorKind::unreachable);
  }
  CHECK(storage.list("refs/", "", 10).objects.empty());
  std::uint64_t kept = 0; // which packs came through differs: two go at once
  for (const auto& object : storage.list("packs/", "", 10).objects)
    kept += object.size;
  CHECK(kept > 0);
  storage.fail_after = UINT64_MAX;
  storage.bytes_appended = 0;
  Datasets datasets = place.open();
  RemoteStore remote(storage, place.project.cache() / "r");
  (void)datasets.push(place.name, remote, false, false);
  CHECK(storage.bytes_appended < (161u << 20) - kept);
  CHECK(storage.read_ref("refs/datasets/set/latest"));
}

TEST_CASE("wrong bytes from a remote are refused, and named") {
  test::MemoryStorage storage;
  Place place;
  test::write(place.data() / "f", test::noise_text(300000, 1));
  (void)place.open().add(place.name, false);
  Datasets datasets = place.open();
  RemoteStore remote(storage, place.project.cache() / "r");
  (void)datasets.push(place.name, remote, false, false);
  std::string data_pack;
  for (const auto& object : storage.list("packs/", "", 10).objects) {
    if (object.size > 200000) data_pack = object.name;
  }
  storage.flip_bit(data_pack, 100000, 3);
  Place other;
  Datasets others = other.open();
  RemoteStore same(storage, other.project.cache() / "r");
  CHECK(kind_of([&] { (void)others.pull(other.name, &same, false, false); }) ==
        ErrorKind::integrity);
  CHECK_FALSE(fs::exists(other.data() / "f"));
  Verifier verifier({});
  verifier.check_packs(same);
  verifier.check_version("set", datasets.pinned(place.name).digest, same,
                         [&](const Digest& id) { return same.has(id); });
  bool named = false;
  for (const auto& problem : verifier.problems)
    named |= problem.subject == "set/f";
  CHECK(named);
}

TEST_CASE("verify names the file behind a flipped bit, in a pack, a manifest and the work tree") {
  Place place;
  make_tree(place.data());
  const Digest version = place.open().add(place.name, false).version;
  const auto problems = [&] {
    ObjectStore store(place.project.objects());
    Verifier verifier({});
    verifier.check_packs(store);
    verifier.check_version("set", version, store, [&](const Digest& id) { return store.has(id); });
    verifier.check_files("set", place.data(), version, store);
    std::string all;
    for (const auto& problem : verifier.problems)
      all += problem.subject + "\n";
    return all;
  };
  CHECK(problems().empty());
  const auto flip = [](const fs::path& path, std::uint64_t at) {
    ::chmod(path.c_str(), 0644);
    const int fd = ::open(path.c_str(), O_RDWR);
    char byte = 0;
    REQUIRE(::pread(fd, &byte, 1, static_cast<off_t>(at)) == 1);
    byte = static_cast<char>(byte ^ 4);
    REQUIRE(::pwrite(fd, &byte, 1, static_cast<off_t>(at)) == 1);
    ::close(fd);
  };
  flip(place.data() / "sub/deep/noise.bin", 1000000);
  CHECK(problems().find("noise.bin\n") != std::string::npos);
  flip(place.data() / "sub/deep/noise.bin", 1000000);
  CHECK(problems().empty());
  for (const auto& item : fs::directory_iterator(place.project.objects() / "packs")) {
    const bool data = item.file_size() > (1u << 20);
    flip(item.path(), data ? 1500000 : 68);
    const std::string found = problems();
    INFO(found);
    CHECK(found.find(item.path().filename().native()) != std::string::npos);
    CHECK(found.find(data ? "set/sub/deep/noise.bin" : "set/empty folder") != std::string::npos);
    flip(item.path(), data ? 1500000 : 68);
    CHECK(problems().empty());
  }
}

TEST_CASE("a store goes on without its index files, and without what dead writers left") {
  Place place;
  make_tree(place.data());
  const Digest version = place.open().add(place.name, false).version;
  for (const auto& item : fs::directory_iterator(place.project.objects() / "index"))
    test::write(item.path(), "garbage");
  test::write(place.project.objects() / "tmp/left", "half a pack");
  ObjectStore store(place.project.objects());
  CHECK(store.has(version));
  store.prepare();
  CHECK(fs::is_empty(place.project.objects() / "tmp"));
}

TEST_CASE("many packs are found through merged index files") {
  const TemporaryDirectory folder;
  std::vector<Digest> ids;
  for (int i = 0; i < 40; ++i) {
    ObjectStore store(folder.path());
    ids.push_back(store.put(PackKind::data, bytes_of(fmt::format("object {}", i))));
    store.flush();
  }
  std::size_t files = 0;
  for (const auto& item : fs::directory_iterator(folder.path() / "index"))
    files += item.path().extension() == ".idx" ? 1 : 0;
  CHECK(files < 16);
  ObjectStore store(folder.path());
  Bytes plain;
  for (int i = 0; i < 40; ++i) {
    store.read(ids[static_cast<std::size_t>(i)], plain);
    CHECK(text_of(plain) == fmt::format("object {}", i));
  }
  fs::remove(store.pack_path(store.find(ids[0])->pack));
  CHECK_FALSE(ObjectStore(folder.path()).has(ids[0]));
  CHECK(ObjectStore(folder.path()).has(ids[1]));
}

TEST_CASE("a checkout does not follow a link that stands where a folder belongs") {
  Place place;
  const TemporaryDirectory outside;
  test::write(place.data() / "sub/file", "content");
  (void)place.open().add(place.name, false);
  fs::remove_all(place.data() / "sub");
  fs::create_directory_symlink(outside.path(), place.data() / "sub");
  CHECK(kind_of([&] { (void)place.open().pull(place.name, nullptr, false, false); }) ==
        ErrorKind::conflict);
  (void)place.open().pull(place.name, nullptr, true, false);
  CHECK(fs::is_empty(outside.path()));
  CHECK(read_file(place.data() / "sub/file") == "content");
  CHECK_FALSE(fs::is_symlink(place.data() / "sub"));
}

TEST_CASE("a hostile version with a link and a folder of one name writes nothing outside") {
  // Names in a node ascend, so the two cannot stand in one directory; a crafted node is refused.
  Place place;
  const TemporaryDirectory outside;
  ObjectStore store(place.project.objects());
  TreeNode node;
  node.entries.push_back(
      {.type = EntryType::symlink, .name = "x", .target = outside.path().native()});
  Entry file{.type = EntryType::file, .name = "x"};
  node.entries.push_back(file);
  Entry root{.type = EntryType::directory, .below = {2, 0, 0}};
  root.tree = store.put(PackKind::meta, encode_tree(node));
  store.flush();
  CHECK(kind_of([&] {
          (void)checkout(place.data(), root, store, {.cache = place.project.cache() / "c"});
        }) == ErrorKind::integrity);
  CHECK(fs::is_empty(outside.path()));
}

TEST_CASE("what cannot be stored, or must not, is refused with its name") {
  Place place;
  fs::create_directories(place.data());
  REQUIRE(::mkfifo((place.data() / "pipe").c_str(), 0600) == 0);
  CHECK(kind_of([&] { (void)place.open().add(place.name, false); }) == ErrorKind::failed);
  for (const char* path : {".", ".mlp", ".mlp/objects", "mlp.yaml", "data/.."}) {
    INFO(path);
    CHECK(kind_of([&] { (void)place.open().add({"set", path}, false); }) == ErrorKind::config);
  }
  CHECK(kind_of([&] { (void)place.open().add({"set", "none"}, false); }) == ErrorKind::not_found);
  CHECK(kind_of([&] {
          test::MemoryStorage storage;
          RemoteStore remote(storage, place.project.cache() / "r");
          (void)place.open().push(place.name, remote, false, false);
        }) == ErrorKind::not_found);
}

TEST_CASE("several adds at once leave a sound store") {
  Place place;
  make_tree(place.data());
  std::vector<std::jthread> threads;
  std::atomic<int> failures = 0;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      try {
        (void)place.open().add(place.name, false);
      } catch (...) {
        ++failures;
      }
    });
  }
  threads.clear();
  CHECK(failures == 0);
  ObjectStore store(place.project.objects());
  Verifier verifier({});
  verifier.check_packs(store);
  CHECK(verifier.problem_count == 0);
  CHECK(place.open().status(place.name).clean());
}

TEST_CASE("a push to a folder of the same file system shares whole packs, and only those") {
  const Place place;
  test::write(place.data() / "a", test::noise_text(3u << 20, 1));
  const TemporaryDirectory shared("mlp-link-");
  const auto packs_with_links = [&](nlink_t links) {
    std::size_t count = 0;
    for (const auto& item : fs::directory_iterator(place.project.objects() / "packs"))
      count += fs::hard_link_count(item.path()) == links ? 1 : 0;
    return count;
  };
  const auto storage = storage::open_file_storage(net::parse_url("file:store"), shared.path());
  {
    Datasets datasets = place.open();
    (void)datasets.add(place.name, false);
    RemoteStore remote(*storage, place.project.cache() / "remote");
    const PushResult pushed = datasets.push(place.name, remote, false, false);
    CHECK(pushed.sent.bytes > 3u << 20);
    CHECK(packs_with_links(2) == 1); // the chunks; nodes go one by one
  }
  {
    // Half of the next pack is of a version that is not pushed: it must not go along.
    Datasets datasets = place.open();
    test::write(place.data() / "b", test::noise_text(1u << 20, 2));
    test::write(place.data() / "c", test::noise_text(1u << 20, 3));
    (void)datasets.add(place.name, false);
    fs::remove(place.data() / "c");
    (void)datasets.add(place.name, false);
    RemoteStore remote(*storage, place.project.cache() / "remote");
    (void)datasets.push(place.name, remote, false, false);
    CHECK(packs_with_links(2) == 1);
    std::uint64_t size = 0;
    for (const auto& item : fs::directory_iterator(shared.path() / "store/packs"))
      size += item.file_size();
    CHECK(size < 4'400'000);
  }
  // What was shared is fetched by sharing it again, and is as good as a copy.
  const Place other;
  fs::copy_file(place.project.lock_file(), other.project.lock_file());
  Datasets datasets = other.open();
  RemoteStore remote(*storage, other.project.cache() / "remote");
  (void)datasets.pull(other.name, &remote, false, false);
  CHECK(test::tree(other.data()) == test::tree(place.data()));
  CHECK(packs_with_links(3) == 1);
  fs::remove_all(shared.path() / "store");
  CHECK(datasets.status(other.name).clean());
}

TEST_CASE("packs that are shared replace damaged ones, at the remote and here") {
  const Place place;
  test::write(place.data() / "a", test::noise_text(3u << 20, 1));
  (void)place.add();
  const TemporaryDirectory shared("mlp-link-");
  const auto storage = storage::open_file_storage(net::parse_url("file:store"), shared.path());
  int round = 0;
  const auto transfer = [&](bool push) {
    Datasets datasets = place.open();
    RemoteStore remote(*storage, place.project.cache() / fmt::format("remote{}", ++round));
    if (push)
      (void)datasets.push(place.name, remote, false, false);
    else
      (void)datasets.pull(place.name, &remote, false, false);
  };
  // Packs without their ends, of which nobody knows what is in them.
  const auto cut_packs = [](const fs::path& folder) {
    for (const auto& item : fs::directory_iterator(folder))
      if (item.file_size() > 1u << 20)
        write_file_atomic(item.path(), read_file(item.path()).substr(0, 2u << 20));
  };
  const auto problems = [&](ObjectSource& objects) {
    std::size_t count = 0;
    Bytes plain;
    const Entry root = read_manifest(objects, place.open().pinned(place.name).digest);
    for_each_entry(objects, root, [&](const std::string&, const Entry& entry) {
      ContentReader content(objects, entry.content);
      while (const auto ref = content.next()) {
        try {
          objects.read(ref->id, plain);
        } catch (const Error&) {
          ++count;
        }
      }
      return true;
    });
    return count;
  };
  transfer(true);
  cut_packs(shared.path() / "store/packs");
  transfer(true);
  RemoteStore remote(*storage, place.project.cache() / "remote");
  CHECK(problems(remote) == 0);

  cut_packs(place.project.objects() / "packs");
  fs::remove_all(place.project.objects() / "index");
  transfer(false);
  ObjectStore store(place.project.objects());
  CHECK(problems(store) == 0);
  for (const fs::path& packs : {shared.path() / "store/packs", place.project.objects() / "packs"})
    for (const auto& item : fs::directory_iterator(packs))
      CHECK(item.path().filename().native().front() != '.');
}

TEST_CASE("with link=no, and of a damaged pack, a folder gets copies of what is sound") {
  const Place place;
  test::write(place.data() / "a", test::noise_text(3u << 20, 1));
  const TemporaryDirectory shared("mlp-link-");
  (void)place.open().add(place.name, false);
  {
    const auto storage =
        storage::open_file_storage(net::parse_url("file:store?link=no"), shared.path());
    RemoteStore remote(*storage, place.project.cache() / "remote");
    (void)place.open().push(place.name, remote, false, false);
    for (const auto& item : fs::directory_iterator(shared.path() / "store/packs"))
      CHECK(item.hard_link_count() == 1);
  }
  for (const auto& item : fs::directory_iterator(place.project.objects() / "packs")) {
    if (item.file_size() < 1u << 20) continue;
    fs::permissions(item.path(), fs::perms::owner_write, fs::perm_options::add);
    std::string bytes = read_file(item.path());
    bytes[1u << 20] ^= 1;
    test::write(item.path(), bytes);
  }
  const auto storage = storage::open_file_storage(net::parse_url("file:other"), shared.path());
  RemoteStore remote(*storage, place.project.cache() / "remote2");
  CHECK(kind_of([&] { (void)place.open().push(place.name, remote, false, false); }) ==
        ErrorKind::integrity);
  std::error_code none;
  for (const auto& item : fs::directory_iterator(shared.path() / "other/packs", none))
    CHECK(item.hard_link_count() == 1);
  CHECK_FALSE(latest_version(*storage, "set"));
}
