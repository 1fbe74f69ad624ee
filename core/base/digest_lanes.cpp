// FIPS 180-4 on x86's SHA extensions: sha256rnds2 does two rounds on the state kept as the pairs
// ABEF and CDGH, sha256msg1 and sha256msg2 extend the message by four words.
#include "core/base/digest_lanes.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

namespace mlp {

namespace {

alignas(16) constexpr std::uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define MLP_SHA __attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline

struct Lane {
  __m128i abef, cdgh;
  __m128i words[4]; // the last 16 of the message schedule
};

MLP_SHA __m128i load(const void* at) {
  return _mm_loadu_si128(static_cast<const __m128i*>(at));
}

MLP_SHA void load_state(Lane& lane, const std::uint32_t* state) {
  const __m128i badc = _mm_shuffle_epi32(load(state), 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1B);
  lane.abef = _mm_alignr_epi8(badc, efgh, 8);
  lane.cdgh = _mm_blend_epi16(efgh, badc, 0xF0);
}

MLP_SHA void store_state(const Lane& lane, std::uint32_t* state) {
  const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

MLP_SHA void load_block(Lane& lane, const std::byte* data) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (int i = 0; i < 4; ++i)
    lane.words[i] = _mm_shuffle_epi8(load(data + 16 * i), big_endian);
}

// Rounds 4 group to 4 group + 3.
template <int group>
MLP_SHA void rounds(Lane& lane) {
  __m128i& words = lane.words[group % 4];
  const __m128i sum = _mm_add_epi32(words, load(round_constants + 4 * group));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
  lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0E));
  if constexpr (group < 12) { // four words more, in the place of those that were used
    const __m128i last = lane.words[(group + 3) % 4];
    const __m128i middle = _mm_alignr_epi8(last, lane.words[(group + 2) % 4], 4);
    const __m128i begun = _mm_sha256msg1_epu32(words, lane.words[(group + 1) % 4]);
    words = _mm_sha256msg2_epu32(_mm_add_epi32(begun, middle), last);
  }
}

template <int group = 0>
MLP_SHA void all_rounds(Lane& a, Lane& b) {
  rounds<group>(a);
  rounds<group>(b);
  if constexpr (group < 15) all_rounds<group + 1>(a, b);
}

} // namespace

bool has_sha_instructions() noexcept {
  static const bool has = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
    const bool shuffles = (ecx & bit_SSSE3) != 0 && (ecx & bit_SSE4_1) != 0;
    constexpr unsigned sha_bit = 1U << 29;
    return shuffles && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & sha_bit) != 0;
  }();
  return has;
}

__attribute__((target("sha,sse4.1,ssse3"))) void
compress_two_lanes(std::uint32_t* state_a, const std::byte* data_a, std::uint32_t* state_b,
                   const std::byte* data_b, std::size_t blocks) noexcept {
  Lane a, b;
  load_state(a, state_a);
  load_state(b, state_b);
  for (; blocks > 0; --blocks, data_a += 64, data_b += 64) {
    const __m128i old[] = {a.abef, a.cdgh, b.abef, b.cdgh};
    load_block(a, data_a);
    load_block(b, data_b);
    all_rounds(a, b);
    a.abef = _mm_add_epi32(a.abef, old[0]);
    a.cdgh = _mm_add_epi32(a.cdgh, old[1]);
    b.abef = _mm_add_epi32(b.abef, old[2]);
    b.cdgh = _mm_add_epi32(b.cdgh, old[3]);
  }
  store_state(a, state_a);
  store_state(b, state_b);
}

} // namespace mlp
#else

namespace mlp {

bool has_sha_instructions() noexcept {
  return false;
}
void compress_two_lanes(std::uint32_t*, const std::byte*, std::uint32_t*, const std::byte*,
                        std::size_t) noexcept {}

} // namespace mlp
#endif
