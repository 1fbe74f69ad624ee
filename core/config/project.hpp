// A project is a folder with mlp.yaml; .mlp/ beside it holds state. This finds it and names its
// paths; nothing here creates or reads them.
#pragma once

#include "core/base/fs.hpp"

namespace mlp::config {

struct Project {
  fs::path root; // absolute, without symlinks

  [[nodiscard]] fs::path file() const { return root / "mlp.yaml"; }
  [[nodiscard]] fs::path lock_file() const { return root / "mlp.lock"; }
  [[nodiscard]] fs::path state() const { return root / ".mlp"; }
  [[nodiscard]] fs::path objects() const { return state() / "objects"; }
  [[nodiscard]] fs::path runs() const { return state() / "runs"; }
  [[nodiscard]] fs::path sweeps() const { return state() / "sweeps"; }
  [[nodiscard]] fs::path models() const { return state() / "models"; }
  [[nodiscard]] fs::path images() const { return state() / "images"; }
  [[nodiscard]] fs::path refs() const { return state() / "refs"; }
  [[nodiscard]] fs::path index() const { return state() / "index.db"; }
  [[nodiscard]] fs::path cache() const { return state() / "cache"; }
  [[nodiscard]] fs::path tmp() const { return state() / "tmp"; }
  [[nodiscard]] fs::path locks() const { return state() / "locks"; }
};

// The nearest folder with an mlp.yaml, from `start` upwards. Throws Error(not_found), with the hint
// to run `mlp init`, if there is none.
[[nodiscard]] Project find_project(const fs::path& start);

// Creates .mlp/ and its folders where they are missing. Idempotent; safe when two processes do it
// at once. Throws Error.
void make_state_folders(const Project& project);

} // namespace mlp::config
