#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/fields.h"
#include "config/load.h"

/// The parts of the loader. Each adds what it finds wrong to the problems and goes on, so that all
/// of a file's errors come out at once.
namespace bastion::config {

/// read_yaml reads and parses one file; what is wrong with the file itself is a problem, too.
/// `named_by` is added where there is no such file: what names it.
std::optional<YamlNode> read_yaml(const FileSource& files, const std::string& path,
                                  Problems& problems, std::string_view named_by);

/// read_named reads a file that `node` names, in a path relative to the file that it stands in.
struct NamedFile {
  std::string path;
  SecretBytes contents;
};
std::optional<NamedFile> read_named(FileContext& file, const FileSource& files,
                                    const YamlNode& node, std::string_view label, FileKind kind);

/// load_service fills in ServiceConfig and the keys that it names.
void load_service(FileContext& file, const FileSource& files, const YamlNode& root,
                  ServiceConfig& out, ServiceKeys& out_keys);

/// PolicyLoader carries what the parts of policy.yaml need of each other.
struct PolicyLoader {
  FileContext& file;
  const FileSource& files;
  const ServiceConfig& service;
  PolicyData data;
  std::vector<std::string> user_names;  // as written, also of users with errors
  std::vector<std::string> group_names;
  std::vector<std::string> target_names;

  void load(const YamlNode& root);
};
void load_users(PolicyLoader& loader, const YamlNode& node);
void load_user_cas(PolicyLoader& loader, const YamlNode& node);
void load_targets(PolicyLoader& loader, const YamlNode* defaults, const YamlNode* targets);
void load_rules(PolicyLoader& loader, const YamlNode& node);
void load_tests(PolicyLoader& loader, const YamlNode& node);

/// read_allow and read_deny read what a rule grants, or takes away.
void read_allow(PolicyLoader& loader, Fields& fields, Rule& rule);
void read_deny(PolicyLoader& loader, Fields& fields, Rule& rule);
/// read_files reads `files`, after `allow`.
void read_files(Fields& fields, Rule& rule);

/// is_word: the value is there and is exactly this word.
bool is_word(const YamlNode* node, std::string_view word);

/// read_public_key reads "ssh-ed25519 AAAA… comment".
std::optional<crypto::PublicKey> read_public_key(FileContext& file, const YamlNode& node,
                                                 std::string_view label);
/// read_blocks reads a list of address blocks.
std::vector<Cidr> read_blocks(Fields& fields, std::string_view key);
/// read_env reads a list of variable names or globs, and refuses those that must never pass.
std::vector<std::string> read_env(Fields& fields, std::string_view key);

}  // namespace bastion::config
