def write_page(results, docs):
    pass
