#include "daemon/warden/listing.h"

#include <algorithm>

namespace bastion::daemon {
namespace {

/// A listing is one message to a worker; beyond this many targets it says how many more there are.
constexpr std::size_t kLinesMax = 1000;
constexpr std::size_t kTextBytesMax = 100 * 1024;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

std::string actions_text(const config::Reachable& entry) {
  // As `allow: all` means it: jump is always named.
  bool all = entry.every_subsystem;
  for (std::size_t i = 0; i < config::kActionCount; ++i) {
    const auto action = static_cast<config::Action>(i);
    all = all && (action == config::Action::kJump || entry.actions.has(action));
  }
  if (all) {
    return entry.actions.has(config::Action::kJump) ? "all, jump" : "all";
  }
  std::string text;
  for (std::size_t i = 0; i < config::kActionCount; ++i) {
    const auto action = static_cast<config::Action>(i);
    if (entry.actions.has(action)) {
      text += text.empty() ? "" : ", ";
      text += action == config::Action::kSubsystem && !entry.every_subsystem
                  ? join(entry.subsystems)  // "sftp", as the policy says it
                  : std::string(action_name(action));
    }
  }
  return text;
}

}  // namespace

std::string listing_text(const std::vector<config::Reachable>& reachable, std::string_view user,
                         std::string_view bastion) {
  if (reachable.empty()) {
    return "You are " + std::string(user) +
           ". The policy lets you reach no target from here; ask your administrators.\n";
  }
  std::string text = "You are " + std::string(user) + ". You may reach:\n\n";
  std::size_t target_width = 6;
  std::size_t login_width = 2;
  for (const config::Reachable& entry : reachable) {
    target_width = std::max(target_width, entry.target.size());
    login_width = std::max(login_width, join(entry.logins).size());
  }
  target_width = std::min<std::size_t>(target_width, 32);
  login_width = std::min<std::size_t>(login_width, 32);
  const auto padded = [](std::string word, std::size_t width) {
    word.resize(std::max(word.size(), width), ' ');
    return word + "  ";
  };
  text += "  " + padded("TARGET", target_width) + padded("AS", login_width) + "WHAT\n";
  const config::Reachable* example = nullptr;
  const config::Reachable* jump_only = nullptr;
  std::size_t shown = 0;
  while (shown < std::min(reachable.size(), kLinesMax) && text.size() < kTextBytesMax) {
    const config::Reachable& entry = reachable[shown++];
    const std::string logins = entry.logins.empty() ? "-" : join(entry.logins);
    text += "  " + padded(entry.target, target_width) +
            padded(logins == "*" ? "any" : logins, login_width) + actions_text(entry) + "\n";
    if (example == nullptr && !entry.logins.empty()) {
      example = &entry;
    }
    if (jump_only == nullptr && entry.actions.has(config::Action::kJump)) {
      jump_only = &entry;
    }
  }
  if (reachable.size() > shown) {
    text += "  and " + std::to_string(reachable.size() - shown) + " more\n";
  }
  text += "\n";
  if (example != nullptr) {
    const std::string login = example->logins.front() == "*" ? "LOGIN" : example->logins.front();
    text += "A shell:   ssh " + login + "@" + example->target + "@" + std::string(bastion) + "\n";
  }
  if (jump_only != nullptr) {
    text += "A tunnel:  ssh -J " + std::string(bastion) + " LOGIN@" + jump_only->target + "\n";
  }
  return text;
}

}  // namespace bastion::daemon
