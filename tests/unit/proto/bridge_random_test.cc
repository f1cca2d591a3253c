#include <cstdlib>
#include <deque>
#include <map>

#include "proto/channel_open.h"
#include "proto/requests.h"
#include "tests/support/random.h"
#include "tests/unit/proto/bridge_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

/// What the two peers of this test know of each other behind the bridge's back: one conversation is
/// one channel, the same on both sides.
struct Conversation {
  std::uint64_t key = 0;
  std::deque<bool> relayed_answers;     // to the user's channel requests, as the target gave them
  std::array<std::uint64_t, 2> sent{};  // by the leg that sends: stream bytes
};

/// stream_byte is the byte at `offset` of what `leg` says in a conversation: a letter, so that the
/// bridge's own lines ("!!!!") are told apart.
char stream_byte(std::uint64_t key, Leg leg, std::uint64_t offset) {
  const std::uint64_t x = (key * 31 + index(leg) * 7 + offset) * 0x9e3779b97f4a7c15;
  return static_cast<char>('a' + (x >> 40) % 26);
}

/// End is one peer's end of a channel, with its own books.
struct End {
  Conversation* conversation = nullptr;
  std::uint32_t bridge_number = 0;
  bool session = false;
  bool confirmed = false;
  std::uint64_t may_send = 0;     // what the bridge has granted us
  std::uint64_t may_receive = 0;  // what we have granted the bridge
  std::uint32_t max_send = 0;
  std::uint32_t max_receive = 0;
  std::uint64_t received = 0;
  bool eof_sent = false;
  bool close_sent = false;
  bool eof_got = false;
  bool close_got = false;
  std::deque<char> awaited =
      {};  // answers to our channel requests: 'T' the target's, 'B' a refusal
};

class BridgeRandom : public BridgeTest {
 protected:
  std::uint64_t below(std::uint64_t n) { return random_.next() % n; }
  bool chance(std::uint64_t percent) { return below(100) < percent; }
  LegSink& sink(Leg leg) { return leg == Leg::kDownstream ? user : target; }
  std::map<std::uint32_t, End>& ends(Leg leg) { return ends_[index(leg)]; }

  /// say sends an honest message: the bridge must take it.
  void say(Leg leg, const Bytes& message) {
    const Status status = from(leg, message);
    ASSERT_TRUE(status) << "step " << step_ << ": " << status.error().text << ", message "
                        << int{message[0]};
  }

  void open(Leg leg) {
    const std::uint32_t mine = next_number_++;
    const std::uint32_t window =
        chance(10) ? 0x7fffffff : static_cast<std::uint32_t>(below(200'000));
    const std::uint32_t max_packet = 256 + static_cast<std::uint32_t>(below(40'000));
    const bool session = leg == Leg::kDownstream && chance(50);
    Conversation* conversation = &conversations_.emplace_back();
    conversation->key = conversations_.size();
    End end{.conversation = conversation, .session = session};
    end.may_receive = window;
    end.max_receive = max_packet;
    ends(leg)[mine] = end;
    const std::size_t before = sink(other(leg)).messages.size();
    if (session) {
      say(leg, open_message("session", mine, window, max_packet));
    } else {
      say(leg, open_tcpip(leg == Leg::kDownstream ? "direct-tcpip" : "forwarded-tcpip", mine,
                          "localhost", 8080, window, max_packet));
    }
    if (sink(other(leg)).messages.size() > before) {
      opens_[index(other(leg))].push_back(conversation);
    }
  }

  /// hear has a peer read its oldest message, checks it against the peer's books, and answers where
  /// it has to.
  void hear(Leg leg) {
    if (sink(leg).empty()) {
      return;
    }
    const Bytes message = sink(leg).next();
    if (message[0] == kMsgChannelOpen) {
      return hear_open(leg, message);
    }
    ASSERT_GE(message[0], kMsgChannelOpenConfirmation) << "no global message is expected";
    const std::uint32_t mine = u32_at(message, 1);
    ASSERT_TRUE(ends(leg).contains(mine)) << "message " << int{message[0]} << " for a dead channel";
    End& end = ends(leg)[mine];
    switch (message[0]) {
      case kMsgChannelOpenConfirmation:
        ASSERT_FALSE(end.confirmed);
        end.confirmed = true;
        end.bridge_number = u32_at(message, 5);
        end.may_send = u32_at(message, 9);
        end.max_send = u32_at(message, 13);
        ASSERT_LE(end.may_send, limits::kWindowBytesMax);
        if (end.session) {
          say(leg, shell(end.bridge_number, false));
        }
        break;
      case kMsgChannelOpenFailure:
        ASSERT_FALSE(end.confirmed);
        ends(leg).erase(mine);
        break;
      case kMsgChannelWindowAdjust:
        end.may_send += u32_at(message, 5);
        ASSERT_LE(end.may_send, limits::kWindowBytesMax) << "more than is ever granted";
        break;
      case kMsgChannelData:
      case kMsgChannelExtendedData: hear_data(leg, end, message); break;
      case kMsgChannelEof:
        ASSERT_FALSE(end.eof_got || end.close_got);
        end.eof_got = true;
        break;
      case kMsgChannelClose:
        ASSERT_FALSE(end.close_got);
        end.close_got = true;
        // All that was said before the close has been heard.
        if (!end.close_sent) {
          EXPECT_EQ(end.received, end.conversation->sent[index(other(leg))]);
          send_close(leg, end);
        }
        ends(leg).erase(mine);
        break;
      case kMsgChannelRequest: hear_request(leg, end, message); break;
      default: hear_answer(end, message[0] == kMsgChannelSuccess); break;
    }
  }

  void hear_open(Leg leg, const Bytes& message) {
    const auto open = parse_channel_open(message);
    ASSERT_TRUE(open);
    ASSERT_FALSE(opens_[index(leg)].empty());
    Conversation* conversation = opens_[index(leg)].front();
    opens_[index(leg)].pop_front();
    if (chance(20)) {
      return say(leg, open_failure(open->sender, 2, "no"));
    }
    const std::uint32_t mine = next_number_++;
    End end{.conversation = conversation,
            .bridge_number = open->sender,
            .session = open->type == ChannelType::kSession,
            .confirmed = true,
            .may_send = open->window,
            .may_receive = below(100'000),
            .max_send = open->max_packet,
            .max_receive = 256 + static_cast<std::uint32_t>(below(40'000))};
    ends(leg)[mine] = end;
    say(leg,
        confirm(open->sender, mine, static_cast<std::uint32_t>(end.may_receive), end.max_receive));
  }

  void hear_data(Leg leg, End& end, const Bytes& message) {
    const auto data = parse_channel_data(message);
    ASSERT_TRUE(data);
    ASSERT_FALSE(end.eof_got || end.close_got) << "data after its end";
    ASSERT_LE(data->data_len, end.may_receive) << "our window was overrun at step " << step_;
    ASSERT_LE(data->data_len, end.max_receive);
    end.may_receive -= data->data_len;
    const auto bytes = as_text(ByteView(message).subspan(data->header_len));
    if (bytes.starts_with('!')) {
      ASSERT_EQ(data->kind, 1U);
      return;
    }
    for (const char c : bytes) {
      ASSERT_EQ(c, stream_byte(end.conversation->key, other(leg), end.received));
      ++end.received;
    }
  }

  void hear_request(Leg leg, End& end, const Bytes& message) {
    const auto request = parse_channel_request(message);
    ASSERT_TRUE(request);
    ASSERT_EQ(leg, Leg::kUpstream) << "the target of this test asks for nothing";
    if (request->type == ChannelRequestType::kShell) {
      if (!end.close_sent) {
        say(leg, success(end.bridge_number));
      }
      return;
    }
    ASSERT_EQ(request->type, ChannelRequestType::kBreak);
    if (request->want_reply && !end.close_sent) {
      const bool yes = chance(50);
      end.conversation->relayed_answers.push_back(yes);
      say(leg, yes ? success(end.bridge_number) : failure(end.bridge_number));
    }
  }

  void hear_answer(End& end, bool yes) {
    ASSERT_FALSE(end.awaited.empty()) << "an answer to nothing";
    const char by = end.awaited.front();
    end.awaited.pop_front();
    bool expected = false;
    if (by == 'T') {
      ASSERT_FALSE(end.conversation->relayed_answers.empty());
      expected = end.conversation->relayed_answers.front();
      end.conversation->relayed_answers.pop_front();
    }
    EXPECT_EQ(yes, expected) << "the order of answers at step " << step_;
  }

  void send_close(Leg leg, End& end) {
    end.close_sent = true;
    say(leg, close(end.bridge_number));
  }

  /// act has a random end of this peer do something that it may do.
  void act(Leg leg) {
    if (ends(leg).empty()) {
      return open(leg);
    }
    auto at = ends(leg).begin();
    std::advance(at, static_cast<long>(below(ends(leg).size())));
    End& end = at->second;
    if (!end.confirmed || end.close_sent) {
      return;
    }
    const std::uint32_t number = end.bridge_number;
    switch (below(12)) {
      case 0:
        if (chance(10)) {
          send_close(leg, end);
        }
        break;
      case 1:
        if (chance(20) && !end.eof_sent) {
          end.eof_sent = true;
          say(leg, eof(number));
        }
        break;
      case 2:
      case 3: {
        const auto n = static_cast<std::uint32_t>(below(chance(10) ? 1'000'000 : 40'000));
        end.may_receive += n;
        say(leg, adjust(number, n));
        break;
      }
      case 4:
        if (leg == Leg::kDownstream && end.session && end.awaited.size() < 20) {
          const bool passed = chance(50);
          end.awaited.push_back(passed ? 'T' : 'B');
          say(leg, passed ? Bytes(request(number, "break", true).u32(1))
                          : Bytes(request(number, "x@y", true)));
        }
        break;
      case 5:
        if (!end.eof_sent && end.may_send > 0) {
          // Of no kind that is passed: its credit must come back.
          const auto n = std::min<std::uint64_t>({end.may_send, end.max_send, below(3000)});
          end.may_send -= n;
          say(leg, extended(number, 9, std::string(n, '?')));
        }
        break;
      case 6:
        if (chance(20)) {
          (void)bridge->inject_stderr(number, std::string(below(100) + 1, '!'));
        }
        break;
      case 7:
        user.queued = below(3) * limits::kWindowBytesMax / 2;
        target.queued = below(3) * limits::kWindowBytesMax / 2;
        bridge->drained(leg);
        break;
      default: speak(leg, end); break;
    }
  }

  void speak(Leg leg, End& end) {
    if (end.eof_sent) {
      return;
    }
    // Now and then more than a packet may hold: some peers do not care.
    const std::uint64_t most = chance(10) ? 32'768 : end.max_send;
    const auto n = std::min<std::uint64_t>({end.may_send, most, below(chance(30) ? 40'000 : 500)});
    std::string bytes;
    for (std::uint64_t i = 0; i < n; ++i) {
      bytes += stream_byte(end.conversation->key, leg, end.conversation->sent[index(leg)] + i);
    }
    end.may_send -= n;
    end.conversation->sent[index(leg)] += n;
    const bool on_stderr = leg == Leg::kUpstream && end.session && chance(30);
    say(leg, on_stderr ? extended(end.bridge_number, 1, bytes) : data(end.bridge_number, bytes));
  }

  void run(std::uint64_t seed, std::uint64_t steps) {
    random_ = bastion::test::SeededRandom(seed);
    Permissions many = allow_all();
    many.channels_max = 30;
    many.session_channels_max = 15;
    restart(many);
    user.queued = target.queued = 0;
    ends_ = {};
    opens_ = {};
    conversations_.clear();
    user_sends(tcpip_forward("localhost", 8080));
    target.next();
    target_sends(kGlobalSuccess);
    user.next();
    for (step_ = 0; step_ < steps && !HasFatalFailure(); ++step_) {
      const Leg leg = chance(50) ? Leg::kDownstream : Leg::kUpstream;
      const std::uint64_t what = below(100);
      if (what < 4) {
        open(leg);
      } else if (what < 50) {
        act(leg);
      } else {
        hear(leg);
      }
    }
    finish();
  }

  void hear_all() {
    user.queued = target.queued = 0;
    bridge->drained(Leg::kDownstream);
    bridge->drained(Leg::kUpstream);
    while (!HasFatalFailure() && !(user.empty() && target.empty())) {
      hear(Leg::kDownstream);
      hear(Leg::kUpstream);
    }
  }

  /// expect_no_stall: whoever has something to say to one that has room for it, may.
  void expect_no_stall() {
    for (const Leg leg : kLegs) {
      for (const auto& [mine, end] : ends(leg)) {
        for (const auto& [theirs, peer] : ends(other(leg))) {
          if (peer.conversation == end.conversation && peer.may_receive > 0 && !end.eof_sent &&
              !end.close_sent && !peer.close_sent) {
            EXPECT_GT(end.may_send, 0U) << peer.may_receive << " bytes of room are not told of";
          }
        }
      }
    }
  }

  /// finish lets both peers read and close all: nothing may be left, and all was heard.
  void finish() {
    hear_all();
    expect_no_stall();
    for (int round = 0; round < 1'000'000 && !HasFatalFailure(); ++round) {
      if (user.empty() && target.empty()) {
        bool closed = false;
        for (const Leg leg : kLegs) {
          for (auto& [mine, end] : ends(leg)) {
            if (end.confirmed && !end.close_sent) {
              send_close(leg, end);
              closed = true;
              break;
            }
          }
        }
        if (!closed) {
          break;
        }
      }
      hear(Leg::kDownstream);
      hear(Leg::kUpstream);
      log.lines.clear();
    }
    EXPECT_GT(bridge->bytes_up(), 1'000'000U) << "hardly anything was said";
    EXPECT_GT(bridge->bytes_down(), 1'000'000U);
    EXPECT_EQ(bridge->num_channels(), 0U);
    EXPECT_TRUE(ends_[0].empty());
    EXPECT_TRUE(ends_[1].empty());
  }

  bastion::test::SeededRandom random_{1};
  std::uint64_t step_ = 0;
  std::uint32_t next_number_ = 1000;
  std::deque<Conversation> conversations_;
  std::array<std::map<std::uint32_t, End>, 2> ends_;
  std::array<std::deque<Conversation*>, 2> opens_;  // on their way to this leg
};

TEST_F(BridgeRandom, sec_069_HonestPeersHearEachOtherWhateverTheyDo) {
  const char* configured = std::getenv("BASTION_LONG");
  const bool all = configured != nullptr && std::string_view(configured) == "1";
  const std::uint64_t seeds = all ? 20 : 5;
  const std::uint64_t steps = all ? 1'000'000 : 20'000;
  for (std::uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    run(seed, steps);
  }
}

}  // namespace
}  // namespace bastion::proto
