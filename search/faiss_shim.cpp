// The two functions beyond FAISS's C API (faiss_int.h). Compiled whether or not libfaiss_c is
// there.
#include "search/faiss_int.h"

#include <exception>
#include <memory>

#include <omp.h>

#include <faiss/IndexIVF.h>
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

extern "C" void eidetic_faiss_threads(int n)
{
    omp_set_num_threads(n < 1 ? 1 : n);
}
