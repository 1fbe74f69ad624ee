// The measuring process: its answers, and what becomes of one that hangs, dies or talks nonsense.
// A shell script stands in for it here.
#include "core/base/error.hpp"
#include "core/base/process.hpp"
#include "core/gpu/check.hpp"
#include "core/gpu/measuring.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace mlp;
using namespace mlp::gpu;
using namespace std::chrono_literals;

namespace {

// Answers every item that it is given, one after another; `special` is a case of sh's `case`.
MeasuringOptions scripted(const std::string& special) {
  const std::string script =
      "i=0; for item in \"$@\"; do echo \"{\\\"begin\\\":$i}\"; case $item in " + special +
      " *) echo \"{\\\"end\\\":$i,\\\"median\\\":2e9,\\\"best\\\":3e9,"
      "\\\"repetitions\\\":7,\\\"bytes\\\":64}\";; esac; i=$((i+1)); done";
  return {.program = {"sh", "-c", script, "measurer"}, .item_limit = 400ms, .start_limit = 5s};
}

const std::vector<Item> three = {{Figure::copy, {0}}, {Figure::triad, {0}}, {Figure::peer, {0, 1}}};

} // namespace

TEST_CASE("items are answered in their order, with what was measured") {
  MeasuringOptions options = scripted("");
  std::string seen;
  options.begun = [&](const Item& item) { seen += "+" + item_text(item); };
  options.ended = [&](const Item&) { seen += "-"; };
  const auto results = measure_apart(three, options);
  REQUIRE(results.size() == 3);
  CHECK(results[2].figure == Figure::peer);
  CHECK(results[2].gpus == std::vector<unsigned>{0, 1});
  CHECK(results[0].median == 2e9);
  CHECK(results[0].best == 3e9);
  CHECK(results[0].repetitions == 7);
  CHECK(results[0].bytes == 64);
  CHECK(seen == "+copy:0-+triad:0-+peer:0,1-");
}

TEST_CASE("an item that hangs is given up, and the others are measured by a new process") {
  const auto results = measure_apart(three, scripted("triad:0) sleep 60;;"));
  CHECK(results[0].failed.empty());
  CHECK(results[1].failed.find("hangs") != std::string::npos);
  CHECK(results[2].failed.empty());
  CHECK(results[2].median == 2e9);
}

TEST_CASE("a process that dies loses only the item that it was at") {
  auto results = measure_apart(three, scripted("copy:0) kill -SEGV $$;;"));
  CHECK(results[0].failed == "the measuring process was ended by signal 11");
  CHECK(results[1].median == 2e9);
  results = measure_apart(three, scripted("peer:*) exit 3;;"));
  CHECK(results[2].failed == "the measuring process ended with code 3");
  MeasuringOptions broken = scripted("");
  broken.program = {"false"};
  for (const Measured& result : measure_apart(three, broken))
    CHECK(result.failed == "the measuring process ended with code 1");
}

TEST_CASE("failures and what was skipped are told apart; other output is passed over") {
  const auto results = measure_apart(
      three,
      scripted("copy:0) echo 'NCCL version 2.28'; echo '[1]'; echo '{\"end\":0,\"failed\":"
               "\"cannot copy\"}';; triad:0) echo '{\"end\":1,\"skipped\":\"no library\"}';;"));
  CHECK(results[0].failed == "cannot copy");
  CHECK(results[1].skipped == "no library");
  CHECK(results[2].median == 2e9);
}

TEST_CASE("a machine without CUDA is an error and no verdict") {
  MeasuringOptions options = scripted("");
  options.program = {"sh", "-c", R"(echo '{"unavailable": "mlp was built without CUDA"}')"};
  try {
    static_cast<void>(measure_apart(three, options));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::unreachable);
    CHECK(error.message() == "no GPU to check: mlp was built without CUDA");
  }
}

TEST_CASE("a stop ends the measuring process at once") {
  MeasuringOptions options = scripted("copy:0) sleep 60;;");
  options.item_limit = 60s;
  std::stop_source source;
  options.stop = source.get_token();
  options.begun = [&](const Item&) { source.request_stop(); };
  const auto began = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(measure_apart(three, options), Error);
  CHECK(std::chrono::steady_clock::now() - began < 10s);
}

TEST_CASE("the environment says which GPUs CUDA is to see") {
  MeasuringOptions options = scripted("copy:*) echo \"{\\\"end\\\":0,\\\"skipped\\\":"
                                      "\\\"$CUDA_VISIBLE_DEVICES\\\"}\";;");
  options.environment = {{"CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b"}};
  CHECK(measure_apart(three, options)[0].skipped == "GPU-a,GPU-b");
}

TEST_CASE("the plan has each GPU alone, pairs and all together; items survive being words") {
  CHECK(plan_items(1, true).size() == 8);
  CHECK(plan_items(4, false).size() == 4 * 8 + 4 + 1);
  CHECK(plan_items(4, true).size() == 4 * 8 + 12 + 1);
  for (const Item& item : plan_items(3, true)) {
    const Item again = parse_item(item_text(item));
    CHECK(again.figure == item.figure);
    CHECK(again.gpus == item.gpus);
  }
  for (const char* wrong : {"", "copy", "copy:", "copy:x", "copy:0,1", "peer:0", "peer:0,1,2",
                            "all_reduce:0", "speed:0", "copy:-1", "copy:99999"})
    CHECK_THROWS_AS(parse_item(wrong), Error);
}

TEST_CASE("GPUs are chosen by number or UUID, as CUDA_VISIBLE_DEVICES or a list names them") {
  Inventory inventory;
  for (unsigned i = 0; i < 4; ++i) {
    inventory.gpus.push_back({.index = i});
    inventory.gpus.back().uuid = "GPU-" + std::string(8, static_cast<char>('a' + i));
  }
  using Indices = std::vector<unsigned>;
  CHECK(visible_gpus(inventory, std::nullopt) == Indices{0, 1, 2, 3});
  CHECK(visible_gpus(inventory, "2,0") == Indices{0, 2});
  CHECK(visible_gpus(inventory, "1,9,2") == Indices{1});
  CHECK(visible_gpus(inventory, "GPU-cccc,1") == Indices{1, 2});
  CHECK(visible_gpus(inventory, "").empty());
  CHECK(visible_gpus(inventory, "-1").empty());
  CHECK(visible_gpus(inventory, "NoDevFiles").empty());
  CHECK(named_gpus(inventory, "3, 1,3") == Indices{1, 3});
  CHECK_THROWS_AS(named_gpus(inventory, "4"), Error);
  CHECK_THROWS_AS(named_gpus(inventory, "GPU-"), Error);
  CHECK_THROWS_AS(named_gpus(inventory, "0,,1"), Error);
}

TEST_CASE("a lost GPU fails without keeping the others from being measured") {
  Nvml nvml;
  Inventory before;
  for (unsigned i = 0; i < 3; ++i) {
    before.gpus.push_back({.index = i});
    before.gpus.back().model = "NVIDIA Z9";
  }
  before.gpus[1].lost = "GPU is lost";
  CheckOptions options{.gpus = {0, 1, 2}, .program = scripted("").program};
  const CheckResult result = check(nvml, before, options);
  REQUIRE(result.report.gpus.size() == 3);
  CHECK(result.report.verdict == Verdict::fail);
  CHECK(result.report.gpus[1].verdict == Verdict::fail);
  CHECK(result.report.gpus[1].figures.empty());
  CHECK(result.report.gpus[2].figures.at(0).measured.gpus == std::vector<unsigned>{2});
  // The script is given the number of GPUs as its first item, which answers for the first of ours.
  CHECK(result.report.gpus[0].verdict == Verdict::pass);
  before.gpus[0].mig = true;
  CHECK_THROWS_AS(check(nvml, before, options), Error);
}
