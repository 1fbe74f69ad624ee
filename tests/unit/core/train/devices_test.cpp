// Which devices train, from what is asked for and what is there.
#include "core/base/error.hpp"
#include "core/train/devices.hpp"

#include <catch2/catch.hpp>

namespace mlp::train {
namespace {

using config::TrainerDevices;
using Choice = TrainerDevices::Choice;
using Gpus = std::vector<int>;

const kernels::CudaStatus none{.devices = 0, .reason = "no NVIDIA driver"};
const kernels::CudaStatus three{.devices = 3, .reason = ""};

} // namespace

TEST_CASE("without settings the first GPU trains, or the CPU, which is said with its reason") {
  CHECK(plan_devices({}, three).gpus == Gpus{0});
  CHECK(plan_devices({}, three).message == "trains on GPU 0");
  CHECK(plan_devices({}, none).gpus == Gpus{-1});
  CHECK(plan_devices({}, none).message == "trains on the CPU: no NVIDIA driver");
}

TEST_CASE("all, a number and a list of GPUs are one rank each") {
  CHECK(plan_devices({.choice = Choice::all}, three).gpus == Gpus{0, 1, 2});
  CHECK(plan_devices({.choice = Choice::count, .count = 2}, three).gpus == Gpus{0, 1});
  CHECK(plan_devices({.choice = Choice::list, .ids = {2, 0}}, three).gpus == Gpus{2, 0});
  CHECK(plan_devices({.choice = Choice::list, .ids = {2, 0}}, three).message ==
        "trains on GPU 2, 0");
}

TEST_CASE("where there is no GPU as many ranks train on the CPU as GPUs were asked for") {
  CHECK(plan_devices({.choice = Choice::all}, none).gpus == Gpus{-1});
  const DevicePlan plan = plan_devices({.choice = Choice::count, .count = 2}, none);
  CHECK(plan.gpus == Gpus{-1, -1});
  CHECK(plan.message == "2 ranks train on the CPU: no NVIDIA driver");
  CHECK(plan_devices({.choice = Choice::list, .ids = {0, 1, 5}}, none).gpus == Gpus{-1, -1, -1});
}

TEST_CASE("GPUs that are not there are an error that says which are") {
  CHECK_THROWS_WITH(plan_devices({.choice = Choice::count, .count = 4}, three),
                    Catch::Contains("asks for 4 GPUs, 3 GPUs are visible"));
  CHECK_THROWS_WITH(
      plan_devices({.choice = Choice::list, .ids = {3}}, three, "4,5,6"),
      Catch::Contains("names GPU 3, 3 GPUs are visible (CUDA_VISIBLE_DEVICES=4,5,6)"));
}

TEST_CASE("ranks of one machine share its threads") {
  CHECK(threads_of_rank(0, 1) == 0);
  CHECK(threads_of_rank(3, 1) == 3);
  CHECK(threads_of_rank(8, 3) == 2);
  CHECK(threads_of_rank(2, 4) == 1);
  CHECK(threads_of_rank(0, 4096) == 1);
}

} // namespace mlp::train
