// Every key of `sweeps.NAME`, and the forms that a parameter may have.
#include "core/config/project_keys.hpp"

namespace mlp::config {

const Fields<ParameterSpec>& fields_of(const ParameterSpec*) {
  using T = ParameterSpec;
  static const Fields<T> fields{
      field("type", &T::type, "what it is: a range, choices or one value")
          .one_of({"double", "int", "log", "categorical", "const"}),
      field("minval", &T::minval, "lower end of a range; of log: the exponent"),
      field("maxval", &T::maxval, "upper end of a range; of log: the exponent"),
      field("base", &T::base, "of log: base of the exponents; default 10"),
      field("log", &T::log, "draw from a double or int range by ratios, not by differences"),
      field("count", &T::count, "of a range: how many values a grid takes from it")
          .range(1, max_sweep_trials),
      field("vals", &T::vals, "of categorical: the choices"),
      field("val", &T::val, "of const: the value"),
      field("when", &T::when, "other parameters, and the values that they must have for this one"),
  };
  return fields;
}

const Fields<SearcherSpec>& fields_of(const SearcherSpec*) {
  using T = SearcherSpec;
  static const Fields<T> fields{
      field("name", &T::name, "how the space is searched")
          .required()
          .one_of({"grid", "random", "tpe", "asha", "median"}),
      field("metric", &T::metric, "the objective: a metric that runs report").required(),
      field("mode", &T::mode, "whether less or more of it is better")
          .required()
          .one_of({"min", "max"}),
      field("sampler", &T::sampler, "of asha and median: what draws the parameters; default random")
          .one_of({"grid", "random", "tpe"}),
      field("max_trials", &T::max_trials, "most trials; default for a grid: all")
          .range(1, max_sweep_trials),
      field("max_concurrent", &T::max_concurrent, "most trials at a time").range(1, 1000),
      field("seed", &T::seed, "the same seed draws the same trials"),
      field("startup_trials", &T::startup_trials,
            "tpe: random trials first, default 10; median: ended trials it needs, default 5")
          .range(1, max_sweep_trials),
      field("warmup_steps", &T::warmup_steps, "median: stop no trial before this step; default 0")
          .range(0, 1e12),
      field("max_time", &T::max_time, "asha: the step at which a trial is at its end")
          .range(1, 1e12),
      field("divisor", &T::divisor, "asha: one in so many goes on from a rung; default 4")
          .range(2, 1000),
      field("max_rungs", &T::max_rungs, "asha: most rungs; default 5").range(1, 20),
  };
  return fields;
}

const Fields<SweepEntry>& fields_of(const SweepEntry*) {
  using T = SweepEntry;
  static const Fields<T> fields{
      field("task", &T::task, "the task that trials run").required(),
      field("searcher", &T::searcher, "how the space is searched, and for what").required(),
      field("parameters", &T::parameters, "the space: params of the task and their values")
          .required(),
      field("model", &T::model,
            "name to register the best trial's model under; default: as the task's runs"),
  };
  return fields;
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                ScalarList& value) {
  if (node.kind == YamlKind::sequence)
    read_value(reader, key, node, rule, value.values);
  else
    read_value(reader, key, node, rule, value.values.emplace_back());
}

Shape shape_of(const ScalarList&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back(shape_of(Scalar{}, Rule{}));
  shape.inner.push_back(shape_of(std::vector<Scalar>(), Rule{}));
  return shape;
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                ParameterSpec& value) {
  if (node.kind == YamlKind::mapping) {
    read_value<ParameterSpec>(reader, key, node, rule, value);
  } else if (node.kind == YamlKind::sequence) {
    value.type = "categorical";
    read_value(reader, key, node, rule, value.vals);
  } else {
    value.type = "const";
    read_value(reader, key, node, rule, value.val.emplace());
  }
}

Shape shape_of(const ParameterSpec&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back(shape_of(Scalar{}, Rule{}));
  shape.inner.push_back(shape_of(std::vector<Scalar>(), Rule{}));
  shape.inner.push_back(shape_of<ParameterSpec>(ParameterSpec{}, Rule{}));
  return shape;
}

} // namespace mlp::config
