"""Tables of databases of interactions of proteins, written after what their sites say of the columns."""

from documented import BY_ENSEMBL, BY_ENTREZ, BY_STRING, BY_SYMBOL_OR_ID, BY_UNIPROT, G, table
from known import DRUGS, ENTREZ

TAB2 = (
    "#BioGRID Interaction ID|Entrez Gene Interactor A|Entrez Gene Interactor B|BioGRID ID Interactor A|BioGRID ID Interactor B|"
    "Systematic Name Interactor A|Systematic Name Interactor B|Official Symbol Interactor A|Official Symbol Interactor B|"
    "Synonyms Interactor A|Synonyms Interactor B|Experimental System|Experimental System Type|Author|Pubmed ID|"
    "Organism Interactor A|Organism Interactor B|Throughput|Score|Modification|Phenotypes|Qualifications|Tags|Source Database"
)


BIOGRID = (
    "{i}|{u_entrez}|{v_entrez}|106{u_entrez}|106{v_entrez}|-|-|{u}|{v}|{u}L;p{u}|-|Two-hybrid|physical|Smith ({year})|{pmid}|9606|9606|"
    "Low Throughput|-|-|-|-|-|BIOGRID"
)
BIOGRID_READINGS = (*BY_SYMBOL_OR_ID, G.renamed({s: f"106{ENTREZ[s]}" for s in G.nodes}))
table("BIOGRID-ORGANISM-Homo_sapiens.tab2.txt", "BioGRID TAB 2.0", BIOGRID_READINGS, BIOGRID, TAB2, group="BioGRID")
table(
    "BIOGRID-ALL.tab3.txt",
    "BioGRID TAB 3.0",
    BIOGRID_READINGS,
    BIOGRID + "|{u_uniprot}|-|-|{v_uniprot}|-|-|-|-|-|-|-|-|Homo sapiens|Homo sapiens",
    TAB2
    + "|SWISS-PROT Accessions Interactor A|TREMBL Accessions Interactor A|REFSEQ Accessions Interactor A|SWISS-PROT Accessions Interactor B|TREMBL Accessions Interactor B|REFSEQ Accessions Interactor B|Ontology Term IDs|Ontology Term Names|Ontology Term Categories|Ontology Term Qualifier IDs|Ontology Term Qualifier Names|Ontology Term Types|Organism Name Interactor A|Organism Name Interactor B",
    group="BioGRID",
)
table(
    "by-option.tab3.txt.gz",
    "BioGRID TAB 3.0",
    G,
    BIOGRID,
    TAB2,
    group="BioGRID",
    options={"source": "Official Symbol Interactor A", "target": "Official Symbol Interactor B"},
)

for name, by in (("9606.protein.links.v12.0.txt", " "), ("9606.protein.links.v12.0.txt.gz", " ")):
    table(
        name,
        "STRING, protein network data",
        BY_STRING,
        "{u_string}|{v_string}|{thousand}",
        "protein1|protein2|combined_score",
        by=by,
        of=G,
        group="STRING",
    )
table(
    "9606.protein.links.detailed.v12.0.txt",
    "STRING, links with subscores",
    BY_STRING,
    "{u_string}|{v_string}|0|0|{third}00|62|0|0|{thousand}|{thousand}",
    "protein1|protein2|neighborhood|fusion|cooccurence|coexpression|experimental|database|textmining|combined_score",
    by=" ",
    of=G,
    group="STRING",
)
table(
    "string_interactions_short.tsv",
    "STRING, export of a network as TSV",
    G,
    "{u}|{v}|{u_string}|{v_string}|0|0|0|0.062|0.9|0|0.3|{w}|{w}",
    "#node1|node2|node1_string_id|node2_string_id|neighborhood_on_chromosome|gene_fusion|phylogenetic_cooccurrence|homology|coexpression|experimentally_determined_interaction|database_annotated|automated_textmining|combined_score",
    group="STRING",
    weight="combined_score",
)
table(
    "string-api.tsv",
    "STRING API, method network",
    (G, BY_STRING),
    "{u_string}|{v_string}|{u}|{v}|9606|{w}|0|0|0|0|{w}|0|0.1",
    "stringId_A|stringId_B|preferredName_A|preferredName_B|ncbiTaxonId|score|nscore|fscore|pscore|ascore|escore|dscore|tscore",
    group="STRING",
    weight="score",
)
table(
    "string-api-no-header.tsv",
    "STRING API, method network, format tsv-no-header",
    (G, BY_STRING),
    "{u_string}|{v_string}|{u}|{v}|9606|{w}|0|0|0|0|{w}|0|0.1",
    group="STRING",
    options={"source": 3, "target": 4},
)
table(
    "protein_chemical.links.v5.0.tsv",
    "STITCH, chemical and protein links",
    DRUGS,
    "{u}|{v}|{percent}",
    "chemical|protein|combined_score",
    group="STRING",
    options={"bipartite": True},
)

table(
    "hippie_current.txt",
    "HIPPIE, current data set",
    (G, BY_ENTREZ),
    "{u}_HUMAN|{u_entrez}|{v}_HUMAN|{v_entrez}|{w}|experiments:in vitro;pmids:{pmid};sources:HPRD",
    of=G,
    options={"source": 2, "target": 4},
)
table(
    "hippie_nothing-said.txt",
    "HIPPIE, current data set",
    (G.renamed({s: f"{s}_HUMAN" for s in G.nodes}), BY_ENTREZ),
    "{u}_HUMAN|{u_entrez}|{v}_HUMAN|{v_entrez}|{w}|sources:HPRD",
    of=G,
)
table(
    "regnetwork_nothing-said.txt",
    "RegNetwork, source files",
    (G, BY_ENTREZ),
    "{u}|{u_entrez}|{v}|{v_entrez}",
)
table(
    "hprd_nothing-said.txt",
    "HPRD, flat files",
    BY_SYMBOL_OR_ID,
    "{u}|0{u_entrez}|NP_{u_entrez}.1|{v}|0{v_entrez}|NP_{v_entrez}.1|in vitro;yeast 2-hybrid|{pmid}",
)
table(
    "BINARY_PROTEIN_PROTEIN_INTERACTIONS.txt",
    "HPRD, flat files",
    BY_SYMBOL_OR_ID,
    "{u}|0{u_entrez}|NP_{u_entrez}.1|{v}|0{v_entrez}|NP_{v_entrez}.1|in vitro;yeast 2-hybrid|{pmid}",
    options={"source": 1, "target": 4},
)
table(
    "new_kegg.human.reg.direction.txt",
    "RegNetwork, source files",
    (G, BY_ENTREZ),
    "{u}|{u_entrez}|{v}|{v_entrez}",
    options={"source": 1, "target": 3},
)
table("HuRI.tsv", "Human Reference Interactome", BY_ENSEMBL, "{u_ensembl}|{v_ensembl}", of=G)
table(
    "BioPlex_293T_Network_10K_Dec_2019.tsv",
    "BioPlex 3.0, interaction list",
    BY_SYMBOL_OR_ID,
    "{u_entrez}|{v_entrez}|{u_uniprot}|{v_uniprot}|{u}|{v}|0.001|0.002|{w}",
    "GeneA|GeneB|UniprotA|UniprotB|SymbolA|SymbolB|pW|pNI|pInt",
    weight="pInt",
)
table(
    "omnipath_interactions.tsv",
    "OmniPath web service, query interactions",
    (G, BY_UNIPROT),
    "{u_uniprot}|{v_uniprot}|{u}|{v}|True|{activates}|{inhibits}|True|SIGNOR;KEGG|SIGNOR:{pmid}",
    "source|target|source_genesymbol|target_genesymbol|is_directed|is_stimulation|is_inhibition|consensus_direction|sources|references",
)
table(
    "omnipath_plain.tsv",
    "OmniPath web service, query interactions, no further fields",
    BY_UNIPROT,
    "{u_uniprot}|{v_uniprot}|1|{activates:d}|{inhibits:d}|1|0|0",
    "source|target|is_directed|is_stimulation|is_inhibition|consensus_direction|consensus_stimulation|consensus_inhibition",
    of=G,
)
SIGNOR = "ENTITYA|TYPEA|IDA|DATABASEA|ENTITYB|TYPEB|IDB|DATABASEB|EFFECT|MECHANISM|RESIDUE|SEQUENCE|TAX_ID|CELL_DATA|TISSUE_DATA|MODULATOR_COMPLEX|TARGET_COMPLEX|MODIFICATIONA|MODASEQ|MODIFICATIONB|MODBSEQ|PMID|DIRECT|NOTES|ANNOTATOR|SENTENCE|SIGNOR_ID|SCORE"


SIGNOR_ROW = (
    "{u}|protein|{u_uniprot}|UNIPROT|{v}|protein|{v_uniprot}|UNIPROT|{effect}|{kind}|||9606|||||||||{pmid}|YES||lperfetto|A sentence.|"
    "SIGNOR-{i:04d}|{w}"
)
table(
    "signor_all_data.tsv",
    "SIGNOR, download with header",
    (G, BY_UNIPROT),
    SIGNOR_ROW,
    SIGNOR,
    weight="SCORE",
    relation="MECHANISM",
)
table(
    "signor_api.tsv",
    "SIGNOR API getData, without header",
    (G, BY_UNIPROT),
    SIGNOR_ROW,
    options={"source": 1, "target": 5},
)
table("signor_nothing-said.tsv", "SIGNOR API getData, without header", (G, BY_UNIPROT), SIGNOR_ROW)
table(
    "trrust_rawdata.human.tsv",
    "TRRUST, downloads",
    G,
    "{u}|{v}|{kind}|{pmid}",
)
table(
    "collectri.csv",
    "CollecTRI, decoupler table",
    G,
    "{u}|{v}|1|PMID{i}",
    "source|target|weight|PMID",
    by=",",
)
table(
    "dorothea_hs.csv",
    "DoRothEA, data table",
    G,
    "{u}|{letter}|{v}|1",
    "tf|confidence|target|mor",
    by=",",
)
table(
    "FIsInGene_with_annotations.txt",
    "Reactome, functional interactions",
    G,
    "{u}|{v}|activate; catalyze|->|{w}",
    "Gene1|Gene2|Annotation|Direction|Score",
    weight="Score",
)
table(
    "ReactomePathwaysRelation.txt",
    "Reactome, pathway hierarchy",
    G.renamed({s: f"R-HSA-{ENTREZ[s]}" for s in G.nodes}),
    "R-HSA-{u_entrez}|R-HSA-{v_entrez}",
    of=G,
)
table(
    "arabidopsis-aracne.txt",
    "ARACNe-AP, network.txt",
    G,
    "{u}|{v}|{w}|0.001",
    "Regulator|Target|MI|pvalue",
    weight="MI",
)
table(
    "adjacencies-grnboost2.tsv",
    "GRNBoost2 of arboreto",
    G,
    "{u}|{v}|{triple:g}",
    "TF|target|importance",
)
table(
    "adjacencies-grnboost2-no-header.tsv",
    "GRNBoost2 of arboreto, header left out",
    G,
    "{u}|{v}|{triple:g}",
)
table(
    "wgcna-CytoscapeInput-edges.txt",
    "WGCNA, exportNetworkToCytoscape",
    G,
    "{u}|{v}|{w}|undirected|NA|NA",
    "fromNode|toNode|weight|direction|fromAltName|toAltName",
    weight="weight",
)
table(
    "blast-outfmt-6.tsv",
    "BLAST+, output format 6",
    BY_UNIPROT,
    "{u_uniprot}|{v_uniprot}|{percent}.125|{i}|{third}|{third}|1|{i}|{third}|{i}|{tiny}|{i}",
    of=G,
)
table(
    "blast-with-header.tsv",
    "BLAST+, outfmt 6 with the names of its columns",
    BY_UNIPROT,
    "{u_uniprot}|{v_uniprot}|{percent}.125|{tiny}|{i}",
    "qseqid|sseqid|pident|evalue|bitscore",
    of=G,
)
table(
    "network.abc",
    "MCL, format ABC",
    G,
    "{u}|{v}|{w}",
    weight=None,
    outcome="refused",
    words="",
)
table(
    "interaction_input.csv",
    "CellPhoneDB, interaction input",
    G,
    "CPI-{i:06d}|{u}|{v}|{u}_HUMAN|{v}_HUMAN|CellPhoneDB",
    "id_cp_interaction|partner_a|partner_b|protein_name_a|protein_name_b|annotation_strategy",
    by=",",
)
