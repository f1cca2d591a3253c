#pragma once

#include <span>
#include <string_view>

#include "config/schema.h"

namespace bastion::config {

/// standard_algorithms is the default: what ssh-audit has nothing to say about. Users' own ecdsa
/// and sk-ecdsa keys are accepted in both presets, since users cannot choose what a phone or a
/// security module makes.
const Algorithms& standard_algorithms();

/// compatible_algorithms adds what older peers need: NIST curves, group 14 with SHA-256, MACs over
/// the plaintext, ecdsa host keys.
const Algorithms& compatible_algorithms();

/// known_* are the names that `algorithms: {…: […]}` may list.
std::span<const std::string_view> known_kex();
std::span<const std::string_view> known_ciphers();
std::span<const std::string_view> known_macs();
std::span<const std::string_view> known_host_keys();
std::span<const std::string_view> known_public_keys();

/// legacy_algorithms are the names that a target's `legacy:` may list.
std::span<const std::string_view> legacy_algorithms();

}  // namespace bastion::config
