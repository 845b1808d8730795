/* Pickles put together by hand, as string literals.
 *
 *     expect_pickle_refused(P(TENSOR("K\0", "K\2\x85", "K\1\x85")), ...);
 */
#ifndef EIDETIC_TESTS_PICKLE_MAKE_H
#define EIDETIC_TESTS_PICKLE_MAKE_H

#define P(s) (s), sizeof(s) - 1

#define STORAGE                                                                                    \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                             \
    "0X\3\0\0\0cpuK\20tQ"
/* A tensor over storage "0" of 16 floats, at this offset, size and stride. */
#define TENSOR_OF(storage, offset, size, stride)                                                   \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset size stride "\x89}tR"
/* {"t": that tensor} */
#define TENSOR(offset, size, stride)                                                               \
    "\x80\2}X\1\0\0\0t" TENSOR_OF(STORAGE, offset, size, stride) "s."

#endif
