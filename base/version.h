#pragma once

#include <string_view>

namespace bastion {

// kVersion is the project's version, such as "0.1.0": the one in meson.build.
extern const std::string_view kVersion;

// kRevision is what `git describe` said of the tree that was built, or the version where there is
// no git checkout.
extern const std::string_view kRevision;

// kProgramDir is the folder that `meson install` puts bastiond-resolver into.
extern const std::string_view kProgramDir;

}  // namespace bastion
