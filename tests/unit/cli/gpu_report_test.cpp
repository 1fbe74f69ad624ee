// What a check says: of figures that a script in the place of the measuring process gives, on GPUs
// that a fake driver library shows.
#include "cli/gpu_report.hpp"
#include "cli/gpus.hpp"
#include "core/base/fs.hpp"
#include "core/base/json.hpp"

#include <catch2/catch.hpp>
#include <dlfcn.h>

#include <cstdlib>

using namespace mlp;
using namespace mlp::gpu;

namespace {

// Two H100. The fake is found by its name, because it is loaded already.
class FakeDriver {
 public:
  explicit FakeDriver(const std::string& first = "") {
    const std::string h100 = " model=NVIDIA_H100_80GB_HBM3 memory=85520809984 temperature=41 ecc=1"
                             " uncorrected=0 gen=5 gen_max=5 width=16 width_max=16 nvlinks=18"
                             " nvlinks_active=18 nvswitch=1";
    write_file_atomic(folder_.path() / "gpus", "gpu" + h100 + " bus=0x3b uuid=GPU-aaaa" + first +
                                                   "\ngpu" + h100 + " bus=0x5e uuid=GPU-bbbb\n");
    ::setenv("FAKE_NVML", (folder_.path() / "gpus").c_str(), 1);
    REQUIRE(::dlopen(MLP_FAKE_NVML, RTLD_NOW) != nullptr);
  }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;
  ~FakeDriver() { ::unsetenv("FAKE_NVML"); }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryDirectory folder_;
};

// `special` is a case of sh's `case` over the items, as in copy:1) echo '...';;
CheckResult checked(const std::string& special) {
  const std::string script =
      "end() { echo \"{\\\"end\\\":0,$1}\"; }; shift; for item in \"$@\"; do echo '{\"begin\":0}'; "
      "sleep 0.07; case $item in " +
      special +
      " copy:*) end '\"median\":3.0e12,\"best\":3.1e12,\"repetitions\":9,\"bytes\":2147483648';;"
      " bf16:*) end '\"median\":7.5e14,\"best\":8e14,\"repetitions\":5,\"bytes\":1099511627776';;"
      " pattern:*) end '\"bytes\":1073741824,\"mismatches\":0';;"
      " peer:0,1) end '\"median\":4.0e11,\"best\":4.1e11,\"repetitions\":5,\"bytes\":268435456';;"
      " *) end '\"skipped\":\"not here\"';; esac; done";
  Nvml nvml;
  const Inventory inventory = nvml.read(false, "/dev/null");
  return check(nvml, inventory, {.gpus = {0, 1}, .program = {"sh", "-c", script, "measurer"}});
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Json figure(const Json& report, std::size_t gpu, const std::string& name) {
  for (const Json& record : report["gpus"][gpu]["figures"])
    if (record["figure"] == name) return record;
  return nullptr;
}

} // namespace

TEST_CASE("a check's lines show each figure beside its limit and its siblings") {
  const FakeDriver driver;
  const CheckResult result = checked("copy:1) end '\"median\":1.2e12,\"best\":1.3e12';;");
  const std::string text = gpu_report_text(result);
  INFO(text);
  CHECK(has(text, "GPU 0  H100 80GB HBM3  0000:3b:00.0: pass\n"));
  CHECK(has(text,
            "  copy               3.00 TB/s   90 % of 3.35 TB/s      250 % of siblings  pass\n"));
  CHECK(has(text, "GPU 1  H100 80GB HBM3  0000:5e:00.0: fail\n"));
  CHECK(has(text,
            "  copy               1.20 TB/s   36 % of 3.35 TB/s       40 % of siblings  fail\n"));
  CHECK(has(text,
            "  bf16           750.0 TFLOP/s   76 % of 989.4 TFLOP/s  100 % of siblings  pass\n"));
  CHECK(has(text, "  pattern              1.0 GiB  pass\n"));
  CHECK(has(text, "  triad                      -  unmeasured\n                   not here\n"));
  CHECK(has(text, "between GPUs\n  peer 0>1          400.0 GB/s   89 % of 450.0 GB/s"));
  CHECK(has(text, "\nverdict: fail\n"));
}

TEST_CASE("a check's JSON has rates in their unit, and null for what was not measured") {
  const FakeDriver driver;
  const Json report =
      gpu_report_json(checked("bf16:1) end '\"failed\":\"an illegal address\"';; copy:1) exit 3;;"
                              " pattern:1) end '\"bytes\":1073741824,\"mismatches\":2';;"));
  INFO(report.dump(1));
  const Json copy = figure(report, 0, "copy");
  CHECK(copy["unit"] == "bytes/s");
  CHECK(copy["value"] == 3.0e12);
  CHECK(copy["best"] == 3.1e12);
  CHECK(copy["repetitions"] == 9);
  CHECK(copy["amount"] == 2147483648);
  CHECK(copy["limit"] == 3.35e12);
  CHECK(copy["share"].get<double>() == Approx(3.0 / 3.35));
  CHECK(copy["of_siblings"] == nullptr);
  CHECK(copy["gpus"] == Json{0});
  CHECK(copy["verdict"] == "pass");
  CHECK(!copy.contains("mismatches"));
  CHECK(figure(report, 0, "bf16")["unit"] == "flop/s");
  CHECK(figure(report, 0, "triad")["value"] == nullptr);
  CHECK(figure(report, 0, "triad")["verdict"] == "unmeasured");
  CHECK(figure(report, 0, "pattern")["mismatches"] == 0);
  CHECK(figure(report, 1, "bf16")["value"] == nullptr);
  CHECK(has(figure(report, 1, "bf16")["why"], "an illegal address"));
  CHECK(has(figure(report, 1, "copy")["why"], "ended with code 3"));
  CHECK(figure(report, 1, "pattern")["mismatches"] == 2);
  CHECK(report["gpus"][1]["verdict"] == "fail");
  CHECK(report["gpus"][0]["chip"] == "H100 SXM");
  CHECK(report["links"][0]["gpus"] == Json{0, 1});
  CHECK(report["verdict"] == "fail");
}

TEST_CASE("an XID that comes during a check fails the GPU that reports it") {
  const FakeDriver driver(" xid=79");
  const CheckResult result = checked("");
  CHECK(result.subjects[0].xids == std::vector<int>{79});
  CHECK(result.subjects[1].xids.empty());
  CHECK(has(gpu_report_text(result), "  fail: XID 79"));
  CHECK(result.report.gpus[0].verdict == Verdict::fail);
  CHECK(result.report.gpus[1].verdict == Verdict::pass);
}

TEST_CASE("the state of a GPU names the last XID of the kernel log that tells of broken hardware") {
  const FakeDriver driver;
  const std::filesystem::path log = driver.folder() / "kmsg";
  write_file_atomic(log, "NVRM: Xid (PCI:0000:5e:00): 48, pid=1, name=a\n"
                         "NVRM: Xid (PCI:0000:5e:00): 79, pid=1, name=a, GPU has fallen off\n"
                         "NVRM: Xid (PCI:0000:5e:00): 31, pid=1, name=a, a program's fault\n"
                         "NVRM: Xid (PCI:0000:3b:00): 13, pid=1, name=a, a program's fault\n");
  const Inventory inventory = Nvml().read(false, log);
  REQUIRE(inventory.gpus.size() == 2);
  CHECK(gpu_state(inventory.gpus[0]) == "ok");
  CHECK(gpu_state(inventory.gpus[1]) == "xid 79");
  CHECK(gpu_json(inventory.gpus[1])["state"] == "xid 79");
}
