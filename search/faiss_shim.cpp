// The functions beyond FAISS's C API (faiss_int.h). Compiled whether or not libfaiss_c is
// there.
#include "search/faiss_int.h"

#include <exception>
#include <memory>

#include <omp.h>

#include <faiss/IndexIVF.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/index_io.h>
#include <faiss/invlists/OnDiskInvertedLists.h>

extern "C" int eidetic_faiss_read_mapped(FILE *f, FaissIndex **index)
{
    *index = nullptr;
    try {
        std::unique_ptr<faiss::Index> read(faiss::read_index(f, faiss::IO_FLAG_MMAP));
        auto *ivf = dynamic_cast<faiss::IndexIVF *>(read.get());
        auto *lists = ivf ? dynamic_cast<faiss::OnDiskInvertedLists *>(ivf->invlists) : nullptr;
        if (lists)
            lists->prefetch_nthread = 0;
        *index = reinterpret_cast<FaissIndex *>(read.release());
        return 0;
    } catch (const std::exception &) {
        return -2;
    } catch (...) {
        return -1;
    }
}

extern "C" void eidetic_faiss_list(const FaissIndexIVF *index, size_t list, const uint8_t **codes,
                                   const int64_t **ids, size_t *n)
{
    const faiss::InvertedLists *lists = reinterpret_cast<const faiss::IndexIVF *>(index)->invlists;
    *n = lists->list_size(list);
    *codes = *n ? lists->get_codes(list) : nullptr;
    *ids = *n ? lists->get_ids(list) : nullptr;
}

extern "C" const float *eidetic_faiss_ranges(const FaissIndex *index)
{
    auto *sq = dynamic_cast<const faiss::IndexIVFScalarQuantizer *>(
        reinterpret_cast<const faiss::Index *>(index));
    bool bytes = sq && sq->sq.qtype == faiss::ScalarQuantizer::QT_8bit && sq->by_residual &&
                 sq->sq.trained.size() == 2 * (size_t)sq->d;
    return bytes ? sq->sq.trained.data() : nullptr;
}

extern "C" void eidetic_faiss_threads(int n)
{
    omp_set_num_threads(n < 1 ? 1 : n);
}
