// What Swift uses of the fast lane. bindings/src/lane.rs describes the functions, their results and how messages lie in a buffer.
#pragma once

#include <stdint.h>

int64_t peers_lane_send(uint64_t session, const uint8_t *_Nullable messages, uint32_t length);
int64_t peers_lane_take(uint64_t session, uint8_t *_Nullable room, uint32_t length);
int64_t peers_lane_write(uint64_t stream, const uint8_t *_Nullable data, uint32_t length);
int64_t peers_lane_read(uint64_t stream, uint8_t *_Nullable room, uint32_t length);
