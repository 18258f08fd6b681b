"""Column names: which words name an end of an edge, which its kind, weight or source, and which two names belong together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FAMILIES: tuple[
    tuple[str, str, bool], ...
] = (  # words of the first end, of the second, and whether they give a direction
    ("source src sources", "target tgt trg targets dest destination dst sink", True),
    ("from", "to", True),
    ("head", "tail", True),
    ("subject subj sub", "object obj", True),
    ("start", "end stop", True),
    ("begin", "end", True),
    ("sender", "receiver recipient", True),
    ("caller", "callee", True),
    ("follower", "followee following followed", True),
    ("citing", "cited", True),
    ("origin", "destination dest", True),
    ("parent", "child", True),
    ("regulator regulatory regulating tf", "target regulated gene", True),
    ("ligand", "receptor", True),
    ("enzyme kinase", "substrate sub", True),
    ("pre presynaptic", "post postsynaptic", True),
    ("upstream", "downstream", True),
    ("donor", "acceptor", True),
    ("input", "output", True),
    ("bait", "prey", False),
    ("predator", "prey", False),
    ("query", "hit subject target", False),
    ("qseqid", "sseqid", False),
    ("importer", "exporter", False),
    ("buyer", "seller", False),
    ("supplier", "buyer customer", False),
    ("reporter", "partner", False),
    ("ego", "alter", False),
    ("left", "right", False),
    ("lhs", "rhs", False),
    ("first", "second", False),
    ("one", "two", False),
    ("a", "b", False),
    ("x", "y", False),
    ("u", "v", False),
    ("i", "j", False),
    ("s", "t", True),
    ("h", "t", True),
    ("s", "o", True),
    ("1", "2", False),
    ("0", "1", False),
)
_Key = tuple[int, tuple[str, ...]]
_FAMILIES_OF: dict[str, list[tuple[int, int]]] = {}
for _family, (_firsts, _seconds, _) in enumerate(_FAMILIES):
    for _side, _listed in enumerate((_firsts, _seconds)):
        for _word in _listed.split():
            _FAMILIES_OF.setdefault(_word, []).append((_family, _side))
_GENERAL = {"node", "vertex", "entity", "interactor", "gene", "protein", "drug", "disease", "participant"}
"""Kinds of things, which may differ from end to end."""
_BARE = {"s", "t", "h", "o"}  # letters that say something only where they are the whole name
_ENTITIES = _words(
    "node vertex gene protein drug disease compound chemical molecule mol substance phenotype species user item "
    "author paper article page package entity interactor participant regulator tf word synset person member actor "
    "metabolite rna mirna lncrna transcript enzyme kinase substrate virus host microbe bacteria bacterium strain "
    "phage plant pollinator antibody antigen epitope tcr cell neuron peak snp variant pathway domain probe locus orf "
    "otu taxon country city airport customer product reviewer student course movie film book song artist hashtag tag "
    "group account wallet address station stop company firm patient symptom term concept ligand receptor bait prey "
    "predator tissue side partner friend neighbor neighbour ensembl uniprot entrez hgnc refseq ensg stitch reader "
    "venue team player supplier buyer seller reporter importer exporter target mesh cui root msid accession acc "
    "regulatory"
)
_QUALIFIERS = _words("a b i j u v x y 1 2 0 id ids name names symbol label key index code no number official one two")
_WORDS = _words(
    "source target src dst dest destination tgt trg from to head tail subject object sub obj subj symbol node vertex "
    "start end begin left right lhs rhs sender receiver recipient follower followee citing cited parent child origin "
    "caller callee query hit ego alter pre post qseqid sseqid id name column col unnamed relation interaction"
)
_ATTRIBUTES = _words(
    "weight weights score scores rating ratings confidence prob probability pvalue qvalue fdr count counts freq "
    "frequency strength correlation corr cor coef coefficient importance distance dist similarity sim type types kind "
    "kinds category class label labels relation relations relationship rel interaction interactions association "
    "metaedge edge edgetype predicate property action mode effect mechanism sign direction directed time times "
    "timestamp timestamps timeset date year yr month day ts datetime published created pmid pmids pubmed reference "
    "references ref citation evidence evidences method methods database databases db dataset organism tax taxid "
    "comment comments note notes description desc annotation annotations split fold partition url doi synonyms "
    "synonym aliases alias es alt alternative xref xrefs role roles feature features stoichiometry checksum "
    "publication throughput modification qualifications tags system experimental experiment forms actions provenance "
    "curation license rank degree lr edgelabel"
)
_RANKS = {"symbol": 0.9, "genesymbol": 0.9, "id": 1.0, "ids": 1.0, "identifier": 1.0, "identifiers": 1.0, "name": 2.0}
_RANKS |= {"names": 2.0, "label": 2.5, "index": 5.0, "idx": 5.0}
_DATABASES = _words("ensembl uniprot entrez hgnc refseq ensg stitch mesh cui accession accessions acc")
"""Words whose ids stand beside symbols and names."""
_NUMBERS = _words("id index row no nr idx number rowid rownames")  # alone they number the rows
_KINDS = {
    "person": "user customer reviewer student reader viewer member patient listener rater player account author",
    "thing": (
        "item movie film product book song artist track course paper article page hashtag tag group restaurant venue "
        "subreddit playlist repo event team word"
    ),
    "chemical": "drug compound chemical substance metabolite molecule",
    "disease": "disease phenotype symptom",
    "gene": "gene protein transcript",
    "pathway": "pathway",
    "locus": "snp variant peak",
    "cell": "cell tissue",
    "microbe": "microbe bacterium bacteria phage virus",
    "host": "host strain",
    "plant": "plant",
    "pollinator": "pollinator",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
"""What a word is: nothing of one kind is of another."""


def tokens(name: str) -> list[str]:
    """The words of a column name, in small letters.

    Example:
        >>> tokens("#fromNode_ID"), tokens("Official Symbol Interactor A"), tokens("ENTITYA"), tokens("protein1")
        (['from', 'node', 'id'], ['official', 'symbol', 'interactor', 'a'], ['entity', 'a'], ['protein', '1'])
    """
    name = re.sub(r"(?<=_ID)\(.*\)$", "", name)  # Neo4j's :START_ID(Gene-ID)
    found = []
    for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+", name):
        word = part.lower()
        stem = word[:-1]
        known = {*_ENTITIES, *_WORDS, "id", "type", "database", "name"}
        if word[-1] in "ab" and word not in known and stem in known and (part.isupper() or part[-1].isupper()):
            found += [stem, word[-1]]
        elif word.endswith("id") and word[:-2] in known and len(word) > 3:
            found += [word[:-2], "id"]
        else:
            found.append(word)
    result: list[str] = []
    for word in found:  # miRNA, lncRNA and UniProt are one word each
        if result and (result[-1], word) in (("mi", "rna"), ("lnc", "rna"), ("uni", "prot")):
            result[-1] += word
        else:
            result.append(word)
    return result


def is_header_word(cell: str) -> bool:
    """Whether a cell is a usual name of a column of ids: usual words, with usual qualifiers.

    Example:
        >>> [is_header_word(cell) for cell in ("source", "gene_a", "FromNodeId", "Protein B", "TP53")]
        [True, True, True, True, False]
    """
    usual = {*_ENTITIES, *_WORDS}
    parts = tokens(cell)
    known = [part in usual or part.removesuffix("s") in usual for part in parts]
    return any(known) and all(word or part in _QUALIFIERS for part, word in zip(parts, known, strict=True))


def is_attribute_word(cell: str) -> bool:
    """Whether a cell is a usual name of a column that says something about an edge.

    Example:
        >>> [is_attribute_word(cell) for cell in ("weight", "combined_score", "is_known", "symbol")]
        [True, True, True, False]
    """
    parts = tokens(cell)
    return any(part in _ATTRIBUTES for part in parts) or (len(parts) > 1 and parts[0] in ("is", "has", "num"))


def are_paired(first: str, second: str) -> bool:
    """Whether two names are one name but for what tells the ends of an edge apart.

    Example:
        >>> are_paired("a_id", "b_id"), are_paired("V1", "V2"), are_paired("BRCA1", "TP53")
        (True, True, False)
    """
    return first != second and _shared(first, second)


@dataclass(frozen=True)
class NamedEnds:
    """Two columns whose names are the two ends of an edge.

    Args:
        source: place of the first.
        target: place of the second.
        rank: how plainly, 0 is best; names of the same thing under other names have higher ranks.
    """

    source: int
    target: int
    rank: float


def named_ends(names: Sequence[str]) -> list[NamedEnds]:
    """Every two columns whose names belong together as the ends of an edge, the plainest first.

    Example:
        >>> named_ends(["source", "interaction", "target"])
        [NamedEnds(source=0, target=2, rank=0.0)]
        >>> [(ends.source, ends.target) for ends in named_ends(["relation", "x_name", "x_id", "y_name", "y_id"])]
        [(2, 4), (1, 3)]
        >>> named_ends(["V1", "V2", "V3"])
        []
    """
    counted = _counted(names) | _plurals(names)
    places: dict[_Key, tuple[list[int], list[int]]] = {}
    rests: dict[int, dict[_Key, tuple[str, ...]]] = {}
    for i, name in enumerate(names):
        if name in counted:
            continue
        for key, side, rest in _ends_of(name):
            if not any(part in _ATTRIBUTES for part in rest):
                places.setdefault(key, ([], []))[side].append(i)
                rests.setdefault(i, {})[key] = rest
    found: dict[tuple[int, int], NamedEnds] = {}
    for key, (starts, ends) in places.items():
        for i, j in ((i, j) for i in starts for j in ends if i != j):
            first, second = (i, j) if _FAMILIES[key[0]][2] or i < j else (j, i)
            rank = max(_rank(rests[i][key]), _rank(rests[j][key]))
            pair = (min(i, j), max(i, j))
            if pair not in found or rank < found[pair].rank:
                found[pair] = NamedEnds(first, second, rank)
    return sorted(found.values(), key=lambda ends: ends.rank)


def is_attribute(name: str, others: Sequence[str]) -> bool:
    """Whether a name says that its column is no end: a weight, a kind, a date, a number of the row.

    Args:
        name: of the column.
        others: of all columns; a lonely "source" is where a row is from.
    Example:
        >>> [is_attribute(name, ["gene", "drug", "pmid", "id"]) for name in ("gene", "drug", "pmid", "id")]
        [False, False, True, True]
    """
    parts = tokens(name)
    if (
        not parts
        or (len(parts) == 1 and parts[0] in _NUMBERS)
        or (parts == ["unnamed", "0"] and "Unnamed: 1" not in others)
    ):
        return True
    if name in _plurals(others):
        return True
    if parts == ["source"] or parts == ["sources"]:
        return not any(_shared(name, other) for other in others if other != name)
    return is_attribute_word(name)


def entity_of(name: str) -> str | None:
    """The kind of thing that a column names; None where its name says none.

    Example:
        >>> entity_of("movieId"), entity_of("GeneSymbol"), entity_of("source"), entity_of("mirna")
        ('movie', 'gene', None, 'mirna')
    """
    for part in tokens(name):
        for word in (part, part.removesuffix("s")):
            if word in _ENTITIES and word not in (
                "node",
                "vertex",
                "entity",
                "interactor",
                "participant",
                "side",
                "partner",
            ):
                return word
    return None


def names_database(name: str) -> bool:
    """Whether a name is that of a database, whose accessions stand beside symbols.

    Example:
        >>> names_database("entrez_id"), names_database("gene")
        (True, False)
    """
    return any(part in _DATABASES for part in tokens(name))


def rank_of(name: str) -> float:
    """How plainly a column names its thing: 0 for the bare word, then symbol, id, name, accession.

    Example:
        >>> rank_of("gene"), rank_of("GeneSymbol"), rank_of("geneId"), rank_of("gene_name")
        (0.0, 0.9, 1.0, 2.0)
    """
    return _rank(tuple(tokens(name)))


def are_two_kinds(source: str, target: str) -> bool:
    """Whether two names say that no thing of one column can be a thing of the other.

    Example:
        >>> are_two_kinds("userId", "movieId"), are_two_kinds("tf", "gene"), are_two_kinds("source", "target")
        (True, False, False)
    """
    first, second = (_KIND_OF.get(entity_of(name) or "") for name in (source, target))
    return first is not None and second is not None and first != second


def are_different_words(source: str, target: str) -> bool:
    """Whether two names are neither a pair, nor of one kind of thing: they may be two kinds.

    Example:
        >>> are_different_words("shop", "visitor"), are_different_words("source", "target"), are_different_words("1", "2")
        (True, False, False)
    """
    if are_paired(source, target):
        return False
    first, second = (" ".join(each for each in tokens(name) if not each.isdigit()) for name in (source, target))
    return bool(first) and bool(second) and first != second


def _rank(rest: tuple[str, ...]) -> float:
    ranks, unknown = [0.0], 0
    for part in rest:
        if part in _RANKS or part in _DATABASES:
            ranks.append(_RANKS.get(part, 1.5))
        elif part not in _ENTITIES and not part.isdigit() and part not in ("official", "interactor", "s"):
            unknown += 1
    return max(*ranks, 2.0 if unknown and len(ranks) == 1 else 0.0) + 0.2 * unknown


def _plurals(names: Sequence[str]) -> set[str]:
    """Names that are another one with an s, as OmniPath has source and sources: the latter say who reports the edge."""
    lower = {name.lower() for name in names}
    return {name for name in names if name.lower().endswith("s") and name.lower()[:-1] in lower}


def _counted(names: Sequence[str]) -> set[str]:
    """Names of a row, V1, V2, V3 or A, B, C: such names say nothing."""
    of_stem: dict[tuple[str, ...], set[str]] = {}
    for name in names:
        parts = tokens(name)
        if parts and (parts[-1].isdigit() or len(parts[-1]) == 1):
            of_stem.setdefault((*parts[:-1], str(parts[-1].isdigit())), set()).add(name)
    return {name for same in of_stem.values() if len(same) > 2 for name in same}


def _ends_of(name: str) -> list[tuple[_Key, int, tuple[str, ...]]]:
    """What a name may be an end of: family and what else the name says, which end, and the words that are left."""
    parts = tokens(name)
    found = []
    for i, part in enumerate(parts):
        rest = (*parts[:i], *parts[i + 1 :])
        if part in _BARE and rest:
            continue
        for family, side in _FAMILIES_OF.get(part, ()):
            found.append(((family, tuple(word for word in rest if word not in _GENERAL)), side, rest))
    return found


def _shared(first: str, second: str) -> bool:
    """Whether two names are the two ends of one family."""
    ends = {(key, side) for key, side, _ in _ends_of(first)}
    return any((key, 1 - side) in ends for key, side, _ in _ends_of(second))
