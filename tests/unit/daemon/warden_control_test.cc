#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/ipc/session_messages.h"
#include "tests/support/warden_world.h"

namespace bastion::daemon {
namespace {

using Json = nlohmann::json;
using test::Connection;
using test::kWorker0;
using test::World;

TEST(WardenControl, StatusCountsSessionsAndLogins) {
  World world;
  const Connection routed = world.adopted("deploy@web1");
  const Connection menu = world.adopted("alice");
  const Connection keyed = world.connect();
  world.log_in(keyed, "alice", test::Keys::get().mallory);
  world.io.mono = after(world.io.mono, 90 * kNsPerSecond);
  const Json status = Json::parse(world.control(R"({"command":"status"})", false));
  EXPECT_EQ(status["ok"], true);
  EXPECT_EQ(status["sessions"], Json({{"total", 2}, {"routed", 1}, {"menu", 1}}));
  EXPECT_EQ(status["logins"], Json({{"ok", 2}, {"refused", 1}}));
  EXPECT_EQ(status["uptime_s"], 90);
  EXPECT_EQ(status["policy"]["loaded_by"], "start");
}

TEST(WardenControl, SessionsSayWhoIsWhere) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  world.say(kWorker0, connection.session, ipc::SessionStats{10, 20, "shell"});
  world.io.wall += 30;
  const Json list = Json::parse(world.control(R"({"command":"sessions"})", false))["sessions"];
  ASSERT_EQ(list.size(), 1U);
  const Json& session = list[0];
  EXPECT_EQ(session["user"], "alice");
  EXPECT_EQ(session["login"], "deploy");
  EXPECT_EQ(session["target"], "web1");
  EXPECT_EQ(session["rule"], "shells");
  EXPECT_EQ(session["from"], "127.0.0.1");
  EXPECT_EQ(session["mode"], "routed");
  EXPECT_EQ(session["channels"], "shell");
  EXPECT_EQ(session["bytes_up"], 10);
  EXPECT_EQ(session["bytes_down"], 20);
  EXPECT_EQ(session["idle_s"], 30);
  EXPECT_TRUE(session["long_id"].get<std::string>().starts_with(session["id"].get<std::string>()));
}

TEST(WardenControl, WhatAWorkerSaysOfItsChannelsIsBounded) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  world.say(kWorker0, connection.session, ipc::SessionStats{1, 2, std::string(100'000, '\xff')});
  const Json list = Json::parse(world.control(R"({"command":"sessions"})", false))["sessions"];
  EXPECT_LE(list[0]["channels"].get<std::string>().size(), 3 * 256U);
}

TEST(WardenControl, ExplainsWhatThePolicyDecides) {
  World world;
  const auto explain = [&](const Json& more, bool admin = true) {
    Json request = {{"command", "explain"}, {"user", "alice"}};
    request.update(more);
    return Json::parse(world.control(request.dump(), admin));
  };
  const Json shell = explain({{"where", "deploy@web1"}, {"action", "shell"}});
  EXPECT_EQ(shell["ok"], true);
  EXPECT_EQ(shell["allowed"], true);
  EXPECT_EQ(shell["rule"], "shells");
  EXPECT_EQ(shell["text"], "allowed by rule \"shells\"\n  shells   allows it\n");

  const Json root = explain({{"where", "root@web1"}, {"action", "shell"}});
  EXPECT_EQ(root["ok"], true) << "the question was answered";
  EXPECT_EQ(root["allowed"], false);
  EXPECT_EQ(root["text"],
            "denied: no rule allows login root here for alice\n"
            "  shells   allows deploy, not root\n");

  EXPECT_EQ(explain({{"where", "lab1"}, {"action", "jump"}})["allowed"], true);
  EXPECT_EQ(explain({{"where", "deploy@web1"},
                     {"action", "forward_local:localhost:5432"},
                     {"from", "10.0.0.5"}})["allowed"],
            true);
  EXPECT_EQ(explain({{"where", "deploy@wbe1"}, {"action", "shell"}})["text"],
            "denied: there is no target \"wbe1\" (did you mean \"web1\"?)\n");
}

TEST(WardenControl, ExplainsToAdministratorsOnlyAndSaysWhatIsWrongWithTheQuestion) {
  World world;
  const auto error = [&](const char* user, const char* where, const char* action,
                         const char* from = "", bool admin = true) {
    const Json request = {{"command", "explain"},
                          {"user", user},
                          {"where", where},
                          {"action", action},
                          {"from", from}};
    const Json reply = Json::parse(world.control(request.dump(), admin));
    EXPECT_EQ(reply["ok"], false);
    EXPECT_FALSE(reply.contains("allowed"));
    return reply["error"].get<std::string>();
  };
  EXPECT_EQ(error("alice", "deploy@web1", "shell", "", false),
            "only administrators may ask what the policy decides");
  EXPECT_EQ(error("alcie", "deploy@web1", "shell"),
            "there is no user \"alcie\" (did you mean \"alice\"?)");
  EXPECT_EQ(error("\x1b[2J", "deploy@web1", "shell"), "there is no user \"\\x1b[2J\"");
  EXPECT_EQ(error("alice", "deploy@web1", "shel"),
            "an action is one such as shell, exec, sftp, jump or forward_local:HOST:PORT");
  for (const char* where : {"web1", "", "deploy@", "@web1", "a b@web1"}) {
    EXPECT_EQ(error("alice", where, "shell"),
              "say where as LOGIN@TARGET, such as deploy@web1; for jump TARGET will do");
  }
  EXPECT_EQ(error("alice", "deploy@web1", "shell", "laptop"),
            "\"laptop\" is not an address, such as 10.0.0.5");
  EXPECT_EQ(Json::parse(world.control(R"({"command":"explain"})"))["ok"], false);
}

TEST(WardenControl, EndsASessionByTheBeginningOfItsId) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  const std::string id = world.last<ipc::Adopt>(kWorker0)->short_id;
  const std::string end = R"({"command":"end","id":")" + id + R"(","reason":"go home"})";
  EXPECT_EQ(Json::parse(world.control(end, false))["ok"], false) << "viewers may not";
  EXPECT_FALSE(world.last<ipc::EndSession>(kWorker0));
  const Json ended = Json::parse(world.control(end));
  EXPECT_EQ(ended["ok"], true);
  EXPECT_EQ(ended["ended"]["user"], "alice");
  EXPECT_EQ(world.last<ipc::EndSession>(kWorker0)->text,
            "an administrator ended this session: go home.   (" + id + ")");
  EXPECT_EQ(Json::parse(world.control(R"({"command":"end","id":"0000"})"))["error"],
            "no session has this id");
}

TEST(WardenControl, AReasonThatIsASentenceGetsNoSecondFullStop) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  const std::string id = world.last<ipc::Adopt>(kWorker0)->short_id;
  world.control(R"({"command":"end","id":")" + id + R"(","reason":"Go home."})");
  EXPECT_EQ(world.last<ipc::EndSession>(kWorker0)->text,
            "an administrator ended this session: Go home.   (" + id + ")");
}

TEST(WardenControl, WhatIsNotARequestIsRefused) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  for (const char* json :
       {"", "[]", "5", "{", R"({"command":5})", R"({"command":"nothing"})", R"({"command":"end"})",
        R"({"command":"end","id":5})", R"({"command":"end","id":null})",
        R"({"command":"end","id":["a"],"reason":{}})", "{\"command\":\"end\",\"id\":\"\xff\"}"}) {
    const Json reply = Json::parse(world.control(json));
    EXPECT_EQ(reply["ok"], false) << json;
    EXPECT_NE(reply["error"], "") << json;
  }
  EXPECT_EQ(world.warden.num_sessions(), 1U);
}

}  // namespace
}  // namespace bastion::daemon
