#include "media/packet_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace msearch::media {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;

// A film of 25 frames a second whose key frames are 250 apart. Between pictures that carry it on
// there are three fillings, decoded after the picture that they lead to.
PacketSizes Film(size_t frames, const std::function<uint32_t(double)>& bytes) {
  PacketSizes sizes;
  for (size_t begin = 0; begin < frames; begin += 250) {
    sizes.Add(static_cast<double>(begin) / 25, 40000, true);
    for (size_t i = begin + 4; i < begin + 250; i += 4) {
      const double time = static_cast<double>(i) / 25;
      sizes.Add(time, bytes(time), false);
      for (size_t filling = i - 3; filling < i; ++filling) {
        sizes.Add(static_cast<double>(filling) / 25, bytes(time) / 4, false);
      }
    }
  }
  return sizes;
}

TEST(PacketSizes, OrdinaryPacketsDoNotStandOut) {
  const PacketSizes steady = Film(500, [](double) { return 8000; });
  EXPECT_THAT(steady.SpikesBetween(0, 10, 12).times, IsEmpty());
  EXPECT_FALSE(steady.NewPictureBetween(0, 10));
  EXPECT_FALSE(steady.HumpBetween(0, 10));
  EXPECT_TRUE(steady.ShowsNewPictures(0, 10));
  // The first after a key frame, and the last before the next, cost more with many encoders.
  const PacketSizes edges =
      Film(500, [](double time) { return time < 0.2 || time > 9.8 ? 14000 : 5000; });
  EXPECT_THAT(edges.SpikesBetween(0, 10, 12).times, IsEmpty());
}

TEST(PacketSizes, NewPicturesStandOut) {
  const PacketSizes film = Film(500, [](double time) { return time == 4.0 ? 35000 : 8000; });
  const PacketSizes::Spikes spikes = film.SpikesBetween(0, 10, 12);
  EXPECT_THAT(spikes.times, ElementsAre(DoubleNear(4.0, 1e-6)));
  EXPECT_TRUE(spikes.large);
  ASSERT_TRUE(film.NewPictureBetween(0, 10));
  EXPECT_NEAR(*film.NewPictureBetween(0, 10), 4.0, 1e-6);
  EXPECT_THAT(film.SpikesBetween(10, 20, 12).times, IsEmpty());
}

TEST(PacketSizes, SimplePicturesThatFollowBusyOnesStandOut) {
  const PacketSizes film = Film(250, [](double time) { return time < 4.0 ? 8000 : 60; });
  EXPECT_THAT(film.SpikesBetween(0, 10, 12).times, testing::Contains(DoubleNear(4.0, 1e-6)));
}

TEST(PacketSizes, WhatCanOnlyBeANewPictureIsSure) {
  EXPECT_THAT(Film(250, [](double time) { return time == 4.0 ? 35000 : 8000; })
                  .SpikesBetween(0, 10, 12)
                  .sure,
              ElementsAre(DoubleNear(4.0, 1e-6)));
  // What begins to move stays large.
  EXPECT_THAT(
      Film(250, [](double time) { return time < 4.0 ? 800 : 30000; }).SpikesBetween(0, 10, 12).sure,
      IsEmpty());
}

TEST(PacketSizes, HintsAreWeakerThanSpikes) {
  const auto noise = [](double time) { return 12000 + static_cast<uint32_t>(time * 7919) % 400; };
  const PacketSizes grain =
      Film(250, [&](double time) { return time == 4.0 ? 15000 : noise(time); });
  EXPECT_THAT(grain.SpikesBetween(0, 10, 12).times, IsEmpty());
  EXPECT_THAT(grain.HintsBetween(0, 10, 1), ElementsAre(DoubleNear(4.0, 1e-6)));
  // Little is spent on what is soon gone.
  const PacketSizes dip =
      Film(250, [&](double time) { return time > 3.8 && time < 4.0 ? 2000 : noise(time); });
  EXPECT_THAT(dip.HintsBetween(0, 10, 1), ElementsAre(DoubleNear(4.0, 1e-6)));
  EXPECT_THAT(Film(250, [](double) { return 8000; }).HintsBetween(0, 10, 12), IsEmpty());
}

TEST(PacketSizes, OnlySoManySpikesAreTold) {
  const PacketSizes film = Film(250, [](double time) {
    return static_cast<int>(time * 25 + 0.5) % 40 == 0 ? 30000 + static_cast<uint32_t>(time * 100)
                                                       : 3000;
  });
  EXPECT_EQ(film.SpikesBetween(0, 10, 12).times.size(), 6U);
  EXPECT_EQ(film.SpikesBetween(0, 10, 2).times.size(), 2U);
}

TEST(PacketSizes, DissolvesAreHumps) {
  const PacketSizes film =
      Film(250, [](double time) { return time > 5 && time < 6 ? 20000 : 5000; });
  const auto hump = film.HumpBetween(0, 10);
  ASSERT_TRUE(hump);
  EXPECT_NEAR(hump->middle, 5.5, 0.2);
  EXPECT_GT(hump->ratio, 2);
  EXPECT_LT(hump->top, 0.3);
  // A film that moves more from some time on has none.
  EXPECT_FALSE(Film(250, [](double time) { return time > 5 ? 20000 : 5000; }).HumpBetween(0, 10));
}

TEST(PacketSizes, NoiseHidesPictures) {
  EXPECT_FALSE(Film(500, [](double) { return 30000; }).ShowsNewPictures(0, 10));
}

TEST(PacketSizes, KeyFramesInBetweenAreToldEvenly) {
  PacketSizes sizes;
  for (int i = 0; i < 100; ++i) sizes.Add(i * 0.04, 1000, true);
  EXPECT_THAT(sizes.KeysBetween(0, 0.12, 9),
              ElementsAre(DoubleNear(0.04, 1e-9), DoubleNear(0.08, 1e-9)));
  const auto few = sizes.KeysBetween(0, 3.96, 4);
  ASSERT_EQ(few.size(), 4U);
  EXPECT_NEAR(few[1] - few[0], few[3] - few[2], 0.05);
}

}  // namespace
}  // namespace msearch::media
