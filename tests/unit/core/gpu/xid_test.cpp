// XIDs: lines of the kernel log in their several dresses, and logs that cannot be read.
#include "core/base/fs.hpp"
#include "core/gpu/xid.hpp"

#include <catch2/catch.hpp>

using namespace mlp::gpu;

namespace {

std::string parsed(std::string_view line) {
  const auto xid = parse_xid_line(line);
  return xid ? xid->bus_id + " " + std::to_string(xid->xid) : "";
}

} // namespace

TEST_CASE("an XID is found in a line of dmesg, of /dev/kmsg and of a syslog") {
  CHECK(parsed("[ 93.1] NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off "
               "the bus.") == "0000:3b:00.0 79");
  CHECK(parsed("4,1270,93146,-;NVRM: Xid (PCI:0000:5E:00): 48, pid='<unknown>', DBE") ==
        "0000:5e:00.0 48");
  CHECK(parsed("Jan  3 10:00:00 node17 kernel: NVRM: Xid (PCI:0009:01:00.0): 13, Graphics") ==
        "0009:01:00.0 13");
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00): 31") == "0000:3b:00.0 31");
}

TEST_CASE("lines that only look like an XID are none") {
  CHECK(parsed("").empty());
  CHECK(parsed("NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.65.06").empty());
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00").empty());
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00):").empty());
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00): many").empty());
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00): -1, x").empty());
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00): 99999999999, x").empty());
  CHECK(parsed("NVRM: Xid (PCI:0000:3b:00): 79x").empty());
  CHECK(parsed("NVRM: Xid (PCI:): 79").empty());
  CHECK(parsed("NVRM: Xid (PCI:\x1b[31m3b:00): 79").empty());
}

TEST_CASE("a log gives its XIDs to the GPUs by their place on the bus, oldest first") {
  const mlp::TemporaryDirectory folder;
  const auto log = folder.path() / "kern.log";
  mlp::write_file_atomic(log, "NVRM: Xid (PCI:0000:3b:00): 13, a\nother\n"
                              "NVRM: Xid (PCI:0000:5e:00): 63, b\n"
                              "NVRM: Xid (PCI:0000:3b:00): 79, the last line has no newline");
  const auto lines = read_xids(log);
  REQUIRE(lines.has_value());
  std::vector<Gpu> gpus(3);
  gpus[0].bus_id = "0000:3b:00.0";
  gpus[1].bus_id = "0000:5e:00.0";
  add_xids(*lines, gpus);
  CHECK(gpus[0].xids == std::vector<int>{13, 79});
  CHECK(gpus[0].last_xid == 79);
  CHECK(gpus[1].last_xid == 63);
  CHECK_FALSE(gpus[2].last_xid.has_value());
}

TEST_CASE("a log that cannot be read is unknown, not empty") {
  CHECK_FALSE(read_xids("/nonexistent/log").has_value());
  const mlp::TemporaryDirectory folder;
  CHECK_FALSE(read_xids(folder.path()).has_value());
  mlp::write_file_atomic(folder.path() / "empty", "");
  CHECK(read_xids(folder.path() / "empty")->empty());
}

TEST_CASE("what a program does wrong is no fault of the hardware") {
  CHECK_FALSE(xid_fatal(13));
  CHECK_FALSE(xid_fatal(31));
  CHECK(xid_fatal(48));
  CHECK(xid_fatal(79));
  CHECK(xid_fatal(95));
  CHECK_FALSE(xid_fatal(9999));
  CHECK_FALSE(xid_meaning(9999).has_value());
}
