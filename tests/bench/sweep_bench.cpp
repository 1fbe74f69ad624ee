// TPE against random search on functions whose minimum is known: the median, over seeds, of the
// regret of the best point found. Sources of the functions: L. C. W. Dixon, G. P. Szegö, "Towards
// global optimisation 2", 1978 (Branin and Hartmann-6).
#include "core/sweep/sampler.hpp"
#include "core/sweep/tpe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

using namespace mlp::sweep;

namespace {

struct Problem {
  std::string name;
  Space space;
  std::function<double(const Point&)> value; // without noise
  double noise = 0;                          // standard deviation
  double minimum = 0;
};

Dimension real(const std::string& name, double low, double high, bool log = false) {
  return {.name = name, .low = low, .high = high, .log = log};
}

double branin(const Point& x) {
  constexpr double pi = std::numbers::pi;
  const double b = 5.1 / (4 * pi * pi), c = 5 / pi, t = 1 / (8 * pi);
  return std::pow(x[1] - b * x[0] * x[0] + c * x[0] - 6, 2) + 10 * (1 - t) * std::cos(x[0]) + 10;
}

double hartmann6(const Point& x) {
  constexpr std::array<double, 4> alpha{1.0, 1.2, 3.0, 3.2};
  constexpr std::array<std::array<double, 6>, 4> a{{{10, 3, 17, 3.5, 1.7, 8},
                                                    {0.05, 10, 17, 0.1, 8, 14},
                                                    {3, 3.5, 1.7, 10, 17, 8},
                                                    {17, 8, 0.05, 10, 0.1, 14}}};
  constexpr std::array<std::array<double, 6>, 4> p{
      {{0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886},
       {0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991},
       {0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650},
       {0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381}}};
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    double inner = 0;
    for (std::size_t j = 0; j < 6; ++j)
      inner += a[i][j] * std::pow(x[j] - p[i][j], 2);
    sum -= alpha[i] * std::exp(-inner);
  }
  return sum;
}

// As a training has them: a rate whose best value depends on the optimiser, a momentum that only
// one of them has, a width, and a choice that matters little. Its minimum is 0.
double training(const Point& x) {
  const std::array<double, 3> best_rate{-1.0, -3.0, -2.0};
  const std::array<double, 3> floor{0.05, 0.0, 0.1};
  const auto optimiser = static_cast<std::size_t>(x[0]);
  double loss = floor[optimiser] + 0.15 * std::pow(std::log10(x[1]) - best_rate[optimiser], 2);
  if (optimiser == 0) loss += 0.3 * std::pow(x[2] - 0.9, 2);
  loss += 0.05 * std::pow(std::log2(x[3] / 128.0), 2) / 4.0;
  loss += 0.02 * x[4];
  return loss;
}

std::vector<Problem> problems() {
  std::vector<Problem> out;
  out.push_back({"Branin", Space({real("x", -5, 10), real("y", 0, 15)}), branin, 0, 0.397887});
  std::vector<Dimension> six;
  for (int i = 0; i < 6; ++i)
    six.push_back(real(fmt::format("x{}", i), 0, 1));
  out.push_back({"Hartmann-6", Space(std::move(six)), hartmann6, 0, -3.32237});
  Space mixed(
      {{.name = "optimiser", .kind = DimensionKind::choice, .choices = {"sgd", "adam", "rmsprop"}},
       real("rate", 1e-5, 1, true),
       {.name = "momentum", .low = 0, .high = 0.99, .conditions = {{0, {0.0}}}},
       {.name = "units", .kind = DimensionKind::integer, .low = 8, .high = 1024, .log = true},
       {.name = "activation",
        .kind = DimensionKind::choice,
        .choices = {"relu", "tanh", "gelu", "elu"}}});
  out.push_back({"noisy, mixed", std::move(mixed), training, 0.02, 0.0});
  return out;
}

// The regret of the point that looked best after each number of trials.
std::vector<double> search(const Problem& problem, const Sampler& sampler, std::uint64_t seed,
                           const std::vector<std::size_t>& marks) {
  Random noise(seed, 1u << 20);
  std::vector<Observation> history;
  std::vector<double> out;
  double best_seen = 0, best_true = 0;
  for (std::size_t number = 1; number <= marks.back(); ++number) {
    Point point = sampler.suggest(number, history).value();
    const double truth = problem.value(point);
    const double seen = truth + problem.noise * noise.normal();
    if (number == 1 || seen < best_seen) {
      best_seen = seen;
      best_true = truth;
    }
    history.push_back({std::move(point), TrialState::finished, seen, 0});
    if (std::find(marks.begin(), marks.end(), number) != marks.end())
      out.push_back(best_true - problem.minimum);
  }
  return out;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

} // namespace

int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20;
  const std::vector<std::size_t> marks{50, 100, 200};
  TpeOptions options;
  fmt::print("median regret over {} seeds\n{:<14}{:>8}{:>14}{:>14}{:>8}\n", seeds, "problem",
             "trials", "random", "TPE", "ratio");
  bool better = true;
  for (const Problem& problem : problems()) {
    std::vector<std::vector<double>> by_chance(marks.size()), by_tpe(marks.size());
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      options.seed = seed;
      const auto chance = search(problem, *make_random(problem.space, seed), seed, marks);
      const auto tpe = search(problem, *make_tpe(problem.space, options), seed, marks);
      for (std::size_t i = 0; i < marks.size(); ++i) {
        by_chance[i].push_back(chance[i]);
        by_tpe[i].push_back(tpe[i]);
      }
    }
    for (std::size_t i = 0; i < marks.size(); ++i) {
      const double a = median(by_chance[i]), b = median(by_tpe[i]);
      better = better && b < a;
      fmt::print("{:<14}{:>8}{:>14.4f}{:>14.4f}{:>8.2f}\n", problem.name, marks[i], a, b, b / a);
    }
  }
  // What one more suggestion takes late in a long sweep.
  const Problem long_one = problems()[1];
  std::vector<Observation> history;
  const auto chance = make_random(long_one.space, 1);
  for (std::size_t number = 1; number < 10'000; ++number) {
    Point point = chance->suggest(number, {}).value();
    const double value = long_one.value(point);
    history.push_back({std::move(point), TrialState::finished, value, 0});
  }
  const auto begin = std::chrono::steady_clock::now();
  (void)make_tpe(long_one.space, options)->suggest(10'000, history);
  fmt::print(
      "trial 10,000 in six dimensions is drawn in {:.1f} ms\n",
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  return better ? 0 : 1;
}
