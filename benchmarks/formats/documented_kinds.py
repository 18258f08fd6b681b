"""Tables of drugs, diseases, knowledge graphs, Neo4j, Gephi and Cytoscape, after what their sites and manuals say of the columns."""

from documented import ARROWS, BY_ENTREZ, G, no, table, text_of
from known import DRUGS, ENTREZ, FROM_ZERO, GENES, UNIPROT

PAIRED = DRUGS
table(
    "ChG-Miner_miner-chem-gene.tsv",
    "BioSNAP, chemical and gene",
    PAIRED,
    "{u}|{v}",
    "#Drug|Gene",
    options={"bipartite": True},
    group="SNAP",
)
table(
    "ChCh-Miner_durgbank-chem-chem.tsv",
    "BioSNAP, drug and drug",
    G.renamed({s: f"DB{ENTREZ[s]}" for s in G.nodes}),
    "DB{u_entrez}|DB{v_entrez}",
    of=G,
    group="SNAP",
)
table(
    "DG-AssocMiner_miner-disease-gene.tsv",
    "BioSNAP, disease and gene",
    (PAIRED, PAIRED.renamed({n: f"name of {n}" if n.startswith("DB") else n for n in PAIRED.nodes})),
    "{u}|name of {u}|{v}",
    "# Disease ID|Disease Name|Gene ID",
    group="SNAP",
)
DISGENET = "geneId|geneSymbol|DSI|DPI|diseaseId|diseaseName|diseaseType|diseaseClass|score|EI|YearInitial|YearFinal|NofPmids|source"
BY_GENE_ID = PAIRED.renamed({n: n if n.startswith("DB") else ENTREZ[n] for n in PAIRED.nodes})
NAMED_DISEASES = PAIRED.renamed({n: f"disease {n}" if n.startswith("DB") else n for n in PAIRED.nodes})
table(
    "curated_gene_disease_associations.tsv",
    "DisGeNET, curated associations",
    (PAIRED, BY_GENE_ID, NAMED_DISEASES),
    "{v_entrez}|{v}|0.7|0.5|{u}|disease {u}|disease|C23|0.{percent}|1|{year}|{year}|2|CTD_human",
    DISGENET,
)
CTD = "\n".join(
    [
        "# Report created: Mon Nov 02 2026",
        "#",
        "# Fields:",
        "# ChemicalName,ChemicalID,CasRN,GeneSymbol,GeneID,GeneForms,Organism,OrganismID,Interaction,InteractionActions,PubMedIDs",
        "#",
        "",
    ]
)
table(
    "CTD_chem_gene_ixns.csv",
    "CTD, data files",
    (PAIRED, BY_GENE_ID, PAIRED.renamed({n: f"chemical {n}" if n.startswith("DB") else n for n in PAIRED.nodes})),
    'chemical {u}|{u}||{v}|{v_entrez}|protein|Homo sapiens|9606|"{u} affects {v}, mostly"|affects^binding|{pmid}',
    by=",",
    above=CTD,
)
table(
    "relationships-pharmgkb.tsv",
    "PharmGKB, relationships",
    (PAIRED, PAIRED.renamed({n: f"PA{i}" for i, n in enumerate(PAIRED.nodes)})),
    "PA{u_at}|{u}|Chemical|PA{v_at}|{v}|Gene|ClinicalAnnotation|associated|PK|{pmid}",
    "Entity1_id|Entity1_name|Entity1_type|Entity2_id|Entity2_name|Entity2_type|Evidence|Association|PK|PMIDs",
)
no(
    "table of a database",
    "genes_to_phenotype.txt",
    "HPO annotations, three things a row",
    lambda: text_of(
        PAIRED,
        "{v_entrez}|{v}|HP:{u_at}|phenotype {u}|-|OMIM:{few}",
        "ncbi_gene_id|gene_symbol|hpo_id|hpo_name|frequency|disease_id",
    ),
    "--source",
)
no(
    "table of a database",
    "goa_human.gaf",
    "GO annotation file 2.2",
    lambda: text_of(
        G,
        "UniProtKB|{u_uniprot}|{u}|involved_in|GO:{few}|PMID:1|IDA||P|name||protein|taxon:9606|20240101|UniProt||",
        above="!gaf-version: 2.2\n!generated-by: GOC\n",
    ),
)
PRIME = "relation|display_relation|x_index|x_id|x_type|x_name|x_source|y_index|y_id|y_type|y_name|y_source"
table(
    "kg.csv",
    "PrimeKG, kg.csv",
    (G, BY_ENTREZ),
    "protein_{kind}|ppi|{i}|{u_entrez}|gene/protein|{u}|NCBI|{row}|{v_entrez}|gene/protein|{v}|NCBI",
    PRIME,
    by=",",
    group="knowledge graph",
)
table(
    "hetionet-v1.0-edges.sif.gz",
    "Hetionet, edges as SIF",
    G.renamed({s: f"Gene::{ENTREZ[s]}" for s in G.nodes}),
    "Gene::{u_entrez}|{kind}|Gene::{v_entrez}",
    "source|metaedge|target",
    of=G,
    group="knowledge graph",
)
table(
    "hetionet-edges.tsv",
    "Hetionet, edges as TSV",
    G.renamed({s: f"Gene::{ENTREZ[s]}" for s in G.nodes}),
    "Gene::{u_entrez}|{kind}|Gene::{v_entrez}",
    "source|metaedge|target",
    of=G,
    group="knowledge graph",
    relation="metaedge",
)
table(
    "drkg.tsv",
    "DRKG, triples",
    G.renamed({s: f"Gene::{ENTREZ[s]}" for s in G.nodes}),
    "Gene::{u_entrez}|bioarx::{kind}:Gene:Gene|Gene::{v_entrez}",
    of=G,
    group="knowledge graph",
)
for name, by in (("train.txt", "\t"), ("train.tsv", "\t"), ("triples.csv", ",")):
    table(
        name,
        "FB15k and WN18 as PyKEEN has them: head, relation, tail",
        G,
        "{u}|/{kind}/of|{v}",
        by=by,
        group="knowledge graph",
        relation=None,
    )
table(
    "numbers-triples.txt",
    "triples of numbers, as CoDEx and OGB have them after numbering",
    G,
    "{u}|{kind}|{v}",
    by=" ",
    group="knowledge graph",
)
table(
    "countries_train.tsv",
    "triples with names of kinds: _hypernym",
    G,
    "{u}|_{kind}|{v}",
    group="knowledge graph",
)
no(
    "knowledge graph",
    "train2id.txt",
    "OpenKE, first line counts, then head, tail, relation",
    lambda: text_of(
        FROM_ZERO,
        "{u}|{v}|{third}",
        by=" ",
        above="90\n",
    ),
)
table(
    "kgx_edges.tsv",
    "KGX, edges as TSV",
    G,
    "uuid:{i:08x}|{u}|{kind}|{v}|knowledge_assertion|infores:string",
    "id|subject|predicate|object|knowledge_level|primary_knowledge_source",
    group="knowledge graph",
    relation="predicate",
)
table(
    "PathwayCommons12.All.hgnc.sif.gz",
    "Pathway Commons, SIF",
    G,
    "{u}|{kind}-of|{v}",
    group="SIF",
)
table(
    "PathwayCommons12.All.hgnc.sif.txt",
    "Pathway Commons, SIF named .txt",
    G,
    "{u}|{kind}-of|{v}",
    group="SIF",
)
PCTXT = "PARTICIPANT_A|INTERACTION_TYPE|PARTICIPANT_B|INTERACTION_DATA_SOURCE|INTERACTION_PUBMED_ID|PATHWAY_NAMES|MEDIATOR_IDS"
table(
    "PathwayCommons12.All.hgnc.edges.tsv",
    "Pathway Commons, extended SIF, edges",
    G,
    "{u}|{kind}|{v}|Reactome|{pmid}||http://pc.org/{i}",
    PCTXT,
    group="SIF",
    relation="INTERACTION_TYPE",
)
no(
    "SIF",
    "PathwayCommons12.All.hgnc.txt",
    "Pathway Commons, extended SIF, a table of edges and one of nodes",
    lambda: text_of(
        G,
        "{u}|{kind}|{v}|Reactome|{pmid}||http://pc.org/{i}",
        PCTXT,
        below="\nPARTICIPANT\tPARTICIPANT_TYPE\tPARTICIPANT_NAME\tUNIFICATION_XREF\tRELATIONSHIP_XREF\n"
        + "".join(f"{n}\tProteinReference\t{n}\tuniprot:{UNIPROT[n]}\t\n" for n in G.nodes),
    ),
)

# --- Neo4j, TigerGraph, Gephi -----------------------------------------------------------------------------------------
table(
    "relationships-neo4j.csv",
    "Neo4j, import header",
    G,
    "{u}|{kind}|{v}|{w}",
    ":START_ID|:TYPE|:END_ID|weight:float",
    by=",",
    group="Neo4j",
    relation=":TYPE",
)
table(
    "role-between-neo4j.csv",
    "Neo4j, import header with a property between",
    G,
    '{u}|"role, {third}"|{v}|{kind}',
    ":START_ID|role|:END_ID|:TYPE",
    by=",",
    group="Neo4j",
    relation=":TYPE",
)
table(
    "id-spaces-neo4j.csv",
    "Neo4j, import header with ID spaces",
    G,
    "{u}|{v}|{kind}",
    ":START_ID(Gene-ID)|:END_ID(Gene-ID)|:TYPE",
    by=",",
    group="Neo4j",
    relation=":TYPE",
)
table(
    "two-id-spaces-neo4j.csv",
    "Neo4j, import header with two ID spaces",
    DRUGS,
    "{u}|{v}|TARGETS",
    ":START_ID(Drug-ID)|:END_ID(Gene-ID)|:TYPE",
    by=",",
    group="Neo4j",
    options={"bipartite": True},
)
no(
    "Neo4j",
    "apoc-export-all.csv",
    "APOC export.csv.all, nodes and relationships in one table",
    lambda: text_of(
        G,
        '""|""|""|"{u_at}"|"{v_at}"|"{kind}"|"{w}"',
        '"_id"|"_labels"|"name"|"_start"|"_end"|"_type"|"weight"',
        by=",",
    ).replace("\n", "\n" + "".join(f'"{i}",":Gene","{n}",,,,\n' for i, n in enumerate(G.nodes)), 1),
)
for kind, known in (("Undirected", G), ("Directed", ARROWS)):
    table(
        f"{kind.lower()}-gephi.csv",
        "Gephi, export of the edges table",
        known,
        "{u}|{v}|{says}|{i}|||{w}",
        "Source|Target|Type|Id|Label|timeset|Weight",
        by=",",
        group="Gephi table",
        weight="Weight",
    )
no(
    "matrix in a table",
    "adjacency-gephi.csv",
    "Gephi, export as CSV matrix",
    lambda: (
        ";"
        + ";".join(GENES.nodes)
        + "\n"
        + "".join(
            n
            + ";"
            + ";".join(
                "1.0" if any({n, m} == {e.source, e.target} for e in GENES.edges) else "0.0" for m in GENES.nodes
            )
            + "\n"
            for n in GENES.nodes
        )
    ),
    "one row for each edge",
)
no(
    "Cytoscape table",
    "edge-table-cytoscape.csv",
    "Cytoscape, Export Table to File, edges: the ends are in the name alone",
    lambda: text_of(
        G,
        '"{i}"|"{kind}"|"{u} ({kind}) {v}"|"false"|"{kind}"|"{u} ({kind}) {v}"|"{w}"',
        '"SUID"|"interaction"|"name"|"selected"|"shared interaction"|"shared name"|"weight"',
        by=",",
    ),
)
NODES = "table of nodes"
no(
    NODES,
    "nodes-gephi.csv",
    "Gephi, export of the nodes table",
    lambda: (
        "Id,Label,timeset,Degree,modularity_class\n"
        + "".join(f"{i},{n},,{3 + i % 5},{i % 4}\n" for i, n in enumerate(GENES.nodes))
    ),
    "table of nodes",
)
no(
    NODES,
    "id-and-label-gephi.csv",
    "Gephi, nodes table of two columns",
    lambda: "Id,Label\n" + "".join(f"{i},{n}\n" for i, n in enumerate(GENES.nodes)),
    "table of nodes",
)
no(
    NODES,
    "nodes-neo4j.csv",
    "Neo4j, import header of nodes",
    lambda: ":ID,name,:LABEL\n" + "".join(f"{i},{n},Gene\n" for i, n in enumerate(GENES.nodes)),
    "table of nodes",
)
no(
    NODES,
    "nodes-cytoscape.csv",
    "Cytoscape, Export Table to File, nodes",
    lambda: (
        '"SUID","name","selected","shared name"\n'
        + "".join(f'"{90 + i}","{n}","false","{n}{i % 2}"\n' for i, n in enumerate(GENES.nodes))
    ),
    "Network to File",
)
no(
    NODES,
    "annotation.tsv",
    "annotation of genes, as BioMart has it",
    lambda: (
        "gene\tentrez\tchromosome\tdescription\n"
        + "".join(f"{n}\t{ENTREZ[n]}\tchr{i % 5}\ttext of {n}\n" for i, n in enumerate(GENES.nodes))
    ),
    "table of nodes",
)
