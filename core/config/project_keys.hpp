// The tables of keys of mlp.yaml, one for each struct. Internal to core/config.
#pragma once

#include "core/config/fields.hpp"
#include "core/config/project_file.hpp"

namespace mlp::config {

// project_keys.cpp
const Fields<ProjectFile>& fields_of(const ProjectFile*);
const Fields<DatasetEntry>& fields_of(const DatasetEntry*);
const Fields<ImageSpec>& fields_of(const ImageSpec*);
const Fields<Resources>& fields_of(const Resources*);
const Fields<JobRecovery>& fields_of(const JobRecovery*);
const Fields<PlotEntry>& fields_of(const PlotEntry*);
const Fields<SecretUse>& fields_of(const SecretUse*);
const Fields<Task>& fields_of(const Task*);
const Fields<ReplicaPolicy>& fields_of(const ReplicaPolicy*);
const Fields<Batching>& fields_of(const Batching*);
const Fields<ServiceEntry>& fields_of(const ServiceEntry*);

// sweep_keys.cpp
const Fields<SweepEntry>& fields_of(const SweepEntry*);
const Fields<SearcherSpec>& fields_of(const SearcherSpec*);
const Fields<ParameterSpec>& fields_of(const ParameterSpec*);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, ParameterSpec&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, ScalarList&);
[[nodiscard]] Shape shape_of(const ParameterSpec&, const Rule&);
[[nodiscard]] Shape shape_of(const ScalarList&, const Rule&);

// trainer_keys.cpp
const Fields<TrainerSpec>& fields_of(const TrainerSpec*);
const Fields<TrainerData>& fields_of(const TrainerData*);
const Fields<TrainerFeatures>& fields_of(const TrainerFeatures*);
const Fields<TrainerSplit>& fields_of(const TrainerSplit*);
const Fields<TrainerConv>& fields_of(const TrainerConv*);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, TrainerExtent&);
[[nodiscard]] Shape shape_of(const TrainerExtent&, const Rule&);
const Fields<TrainerNetwork>& fields_of(const TrainerNetwork*);
const Fields<TrainerOptimizer>& fields_of(const TrainerOptimizer*);
const Fields<TrainerSchedule>& fields_of(const TrainerSchedule*);
const Fields<TrainerEarlyStopping>& fields_of(const TrainerEarlyStopping*);
const Fields<TrainerCheckpoint>& fields_of(const TrainerCheckpoint*);

// Tasks, each with its own params; project_file.cpp.
void read_tasks(const Reader&, const YamlNode&, const Rule&, ProjectFile&);

// Values with a form of their own; special_values.cpp.
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, Amount&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, Accelerators&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, PlotEntry&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, SecretUse&);
[[nodiscard]] Shape shape_of(const Amount&, const Rule&);
[[nodiscard]] Shape shape_of(const Accelerators&, const Rule&);
[[nodiscard]] Shape shape_of(const PlotEntry&, const Rule&);
[[nodiscard]] Shape shape_of(const SecretUse&, const Rule&);

} // namespace mlp::config
