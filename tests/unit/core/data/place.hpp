// A project in a folder of its own, with one dataset at data/: what the tests of whole operations
// work in.
#pragma once

#include "core/config/project.hpp"
#include "core/data/dataset.hpp"
#include "tests/unit/core/data/testing.hpp"

namespace mlp::test {

struct Place {
  TemporaryDirectory folder{"mlp-data-"};
  config::Project project{fs::canonical(folder.path())};
  data::DatasetName name{"set", "data"};

  Place() {
    write(project.file(), "name: t\ndatasets: {set: {path: data}}\n");
    config::make_state_folders(project);
  }
  [[nodiscard]] fs::path data() const { return project.root / "data"; }
  [[nodiscard]] data::Datasets open() const {
    return data::Datasets(project, no_progress(), {}, 2);
  }
  // The version that the files are now.
  Digest add() const { return open().add(name, false).version; }
};

} // namespace mlp::test
